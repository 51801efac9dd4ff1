"""Accuracy of depth in metres of single frames with a known lens.

Each frame of a stack with known dioptres is predicted alone, with the facts that a camera records: f, N, pixel pitch
and focus distance of the frame. The truth is depth from focus of the whole stack. References are the focus distance of
the frame everywhere, and the best constant of the scene. Frames of RGB-D and stereo captures, whose blur was rendered
by the lens law, are measured in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.settings import Settings, bin_names
from numpy.typing import NDArray
from research.verdict.lens_of_frame import lens_of_frame

from mddnet.data.scene_pool import SceneEntry
from mddnet.data.split import read_split
from mddnet.errors import CaptureError
from mddnet.evaluate.scenes import choose_frames, choose_scenes, read_frame, read_maps
from mddnet.optics import inv_depth_from_signed_defocus
from mddnet.predict.dioptres import depth_m_of
from mddnet.predict.prediction import Prediction
from mddnet.types import BoolArray, Float32Array, FrameRecord, Photo

FOCUS_ROW = "focus distance of the frame everywhere"
BEST_CONSTANT_ROW = "best constant of the scene (from the truth)"
TRUE_SIGN = ": blur alone, with the true sign"
DISTANCE_BINS = (0.0, 0.5, 1.0, 2.0, 4.0, np.inf)
"""Limits of the distance from the plane of focus, dioptres."""
FRAMES, RENDERED_FRAMES = 24, 6
"""Most frames of a stack, and of a scene with rendered blur."""
GOAL = 0.15
"""Target for the median AbsRel."""
SIGN_FROM_PX = 2.0
"""The sign is measured where the true CoC exceeds this."""


@dataclass(frozen=True, slots=True)
class FrameMetres:
    """What was measured on one frame.

    Attributes:
        scene: name of the scene.
        u_focus: its plane of focus, dioptres.
        abs_rel: median of |z - z_true| / z_true over the pixels, by row of the table.
        by_distance: (bins,) the same within each distance from the plane of focus; NaN for fewer than 200 pixels.
        covered: share of pixels whose error is at most ``depth_error_m``, by row; predictions only.
        sign_accuracy: share of blurred pixels with the correct sign, by row; NaN if nothing is blurred.
        answered: rows with metres; the others have the focus distance everywhere.
        kind: of the capture.
    """

    scene: str
    u_focus: float
    abs_rel: Mapping[str, float]
    by_distance: Mapping[str, NDArray[np.float64]]
    covered: Mapping[str, float]
    sign_accuracy: Mapping[str, float]
    answered: frozenset[str]
    kind: str


def metric_scenes(scenes: Sequence[SceneEntry]) -> list[SceneEntry]:
    """The scenes whose dioptres and lens are known."""
    return [scene for scene in scenes if any(lens_of_frame(scene.record, frame) for frame in scene.record.frames)]


def measure_metres(
    scene: SceneEntry, frames: int, predictors: Mapping[str, Callable[[Photo], Prediction]]
) -> Iterable[FrameMetres]:
    """Measure frames of a scene, spread evenly over its sweep.

    Args:
        scene: one of :func:`metric_scenes`.
        frames: most frames.
        predictors: what predicts a photo, by row of the table.

    Raises:
        CaptureError: if a file of the scene is missing or damaged.
    """
    truth = read_maps(scene)
    mask = truth.mask & (truth.inv_depth > 0)
    u_true = truth.inv_depth[mask].astype(np.float64)
    for frame in choose_frames(scene, frames):
        lens = lens_of_frame(scene.record, frame)
        if lens is None or not frame.u_focus > 0:
            continue
        photo = Photo(read_frame(scene, frame, truth), lens)
        z_true = 1.0 / u_true
        signed_px = frame.kappa_px * (frame.u_focus - u_true)
        blurred = np.abs(signed_px) > SIGN_FROM_PX
        bin_of = np.digitize(np.abs(u_true - frame.u_focus), DISTANCE_BINS) - 1
        error = {
            FOCUS_ROW: np.abs(1.0 / frame.u_focus - z_true) / z_true,
            BEST_CONSTANT_ROW: np.abs(_best_constant(z_true) - z_true) / z_true,
        }
        covered, sign_accuracy, answered = dict[str, float](), dict[str, float](), set[str]()
        for name, predict in predictors.items():
            predicted = predict(photo)
            z = _metres(predicted, frame)[mask].astype(np.float64)
            error[name] = np.abs(z - z_true) / z_true
            z_by_size = _metres_by_size(predicted, frame, np.sign(signed_px), mask)
            error[name + TRUE_SIGN] = np.abs(z_by_size - z_true) / z_true
            if predicted.depth_m is not None:
                answered.add(name)
            if predicted.depth_error_m is not None:
                covered[name] = float((np.abs(z - z_true) <= predicted.depth_error_m[mask]).mean())
            right = np.sign(predicted.signed_defocus_px[mask]) == np.sign(signed_px)
            sign_accuracy[name] = float(right[blurred].mean()) if blurred.sum() >= 200 else float("nan")
        yield FrameMetres(
            scene.record.name,
            frame.u_focus,
            {name: float(np.median(values)) for name, values in error.items()},
            {name: _per_bin(values, bin_of) for name, values in error.items()},
            covered,
            sign_accuracy,
            frozenset(answered),
            scene.group,
        )


def _answers(frames: Sequence[FrameMetres], row: str, kind: str) -> str:
    answered = [frame for frame in frames if row in frame.answered]
    cells = [str(len(frames)), str(len(answered)), f"{len(answered) / len(frames):.2f}", "", "", ""]
    if answered:
        values = [frame.abs_rel[row] for frame in answered]
        within = np.mean([frame.covered[row] for frame in answered])
        cells[3:] = [f"{np.median(values):.3f}", f"{max(values):.3f}", f"{within:.2f}"]
    return f"| {kind}, {row} | " + " | ".join(cells) + " |"


def _metres(predicted: Prediction, frame: FrameRecord) -> Float32Array:
    """The predicted depth; if it is relative, the focus distance everywhere."""
    if predicted.depth_m is not None:
        return predicted.depth_m
    return np.full(predicted.size, 1.0 / frame.u_focus, dtype=np.float32)


def _metres_by_size(
    predicted: Prediction, frame: FrameRecord, sign: NDArray[np.float64], mask: BoolArray
) -> NDArray[np.float64]:
    """(N,) depth of the masked pixels, from the predicted CoC and the true sign, (N,)."""
    if predicted.unit != "1/m":
        return np.full(sign.shape, 1.0 / frame.u_focus)
    signed_px = sign * predicted.defocus_px[mask]
    inv_depth = inv_depth_from_signed_defocus(signed_px, predicted.focus.u_focus, predicted.focus.kappa_px)
    return depth_m_of(np.asarray(inv_depth, dtype=np.float32)).astype(np.float64)


def _best_constant(z_true: NDArray[np.float64]) -> float:
    """The constant of least mean |z - z_true| / z_true: the median in which a pixel counts 1 / z_true."""
    order = np.argsort(z_true)
    weight = np.cumsum(1.0 / z_true[order])
    return float(z_true[order][np.searchsorted(weight, weight[-1] / 2)])


def _per_bin(values: NDArray[np.float64], bin_of: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array(
        [
            np.median(values[bin_of == i]) if (bin_of == i).sum() >= 200 else np.nan
            for i in range(len(DISTANCE_BINS) - 1)
        ]
    )


def metres_markdown(frames: Sequence[FrameMetres], model: str, rendered: Sequence[FrameMetres] = ()) -> str:
    """The tables: of frames with metres, over all frames, by distance from the plane of focus, and frame by frame."""
    rows = list(frames[0].abs_rel)
    predicted = [row for row in rows if row in frames[0].sign_accuracy]
    scenes = list(dict.fromkeys(frame.scene for frame in frames))
    lines = [
        f"# Metres of single frames, {model}",
        "",
        f"{len(frames)} frames of {', '.join(scenes)}, each predicted alone with f, N, pixel pitch and its own focus",
        "distance; the truth is depth from focus of the whole stack, at textured pixels of trusted depth. AbsRel is",
        "|z - z_true| / z_true, the median over a frame's pixels. Frames of RGB-D and stereo captures have blur that",
        "was rendered by the lens law, and a measured depth. Frames without metres are not answered.",
        "",
        "| | frames | answered | share | AbsRel of the answered, median | worst | within `depth_error_m` |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(frame.kind for frame in (*frames, *rendered)):
        of_kind = [frame for frame in (*frames, *rendered) if frame.kind == kind]
        lines += [_answers(of_kind, row, kind) for row in predicted]
    lines += [
        "",
        f"All frames of {', '.join(scenes)}, with the focus distance everywhere where metres are not given:",
        "",
        "| | median over frames | mean over frames | frames at most .15 | right sign |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        values = np.array([frame.abs_rel[row] for frame in frames])
        sign_accuracy = np.array([frame.sign_accuracy.get(row, np.nan) for frame in frames])
        cells = [
            f"{np.median(values):.3f}",
            f"{values.mean():.3f}",
            f"{(values <= GOAL).sum()} of {len(values)}",
            f"{np.nanmean(sign_accuracy):.3f}" if np.isfinite(sign_accuracy).any() else "",
        ]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    names = bin_names(DISTANCE_BINS)
    shown = [row for row in rows if not row.endswith(TRUE_SIGN)]
    lines += [
        "",
        "Median AbsRel by the true distance from the plane of focus in dioptres, median over the frames that have it:",
        "",
        "| | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for row in rows:
        table = np.array([frame.by_distance[row] for frame in frames])
        cells = [f"{np.nanmedian(column):.3f}" if np.isfinite(column).any() else "" for column in table.T]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Frame by frame, AbsRel (and share of pixels with the right sign):",
        "",
        "| scene | focus, 1/m | " + " | ".join(shown) + " |",
        "|---" * (len(shown) + 2) + "|",
    ]
    for frame in frames:
        cells = [
            f"{frame.abs_rel[row]:.3f}" + (f" ({frame.sign_accuracy[row]:.2f})" if row in predicted else "")
            for row in shown
        ]
        lines.append(f"| {frame.scene} | {frame.u_focus:.2f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def run(settings: Settings) -> str:
    """Metres of the dev stacks with known dioptres, and of dev captures with rendered blur."""
    predictor, name = settings.load()
    split = read_split(settings.data / "split.csv")
    stacks, rendered = (
        metric_scenes(choose_scenes(settings.scenes, split, "dev", kinds).scenes)
        for kinds in (("focal_stacks",), ("rgbd", "stereo"))
    )
    if not stacks:
        raise CaptureError(f"{settings.scenes}: no dev stack with known dioptres and lens; build the scenes")
    predictors: dict[str, Callable[[Photo], Prediction]] = {
        "one pass": predictor.predict,
        "second pass": lambda photo: predictor.predict(photo, refine=True),
    }
    measured = [frame for scene in stacks for frame in measure_metres(scene, FRAMES, predictors)]
    others = [frame for scene in rendered for frame in measure_metres(scene, RENDERED_FRAMES, predictors)]
    return metres_markdown(measured, name, others)
