"""Runs a model over held-out captures and measures depth order, defocus order, sign and size beside their baselines."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mddnet import metrics
from mddnet.errors import MddnetError, ModelError
from mddnet.evaluate.alignment import AlignmentChoice, fit_alignment
from mddnet.evaluate.baselines import SHARPNESS_SCALES, defocus_baselines, row_inv_depth
from mddnet.evaluate.calibration import Calibration, CalibrationCounts
from mddnet.evaluate.cases import Case, CaseKeeper, case_pictures
from mddnet.evaluate.coc_slope import (
    SHAPE_DIAMETERS_PX,
    SHAPE_LONG_SIDE_PX,
    SHAPES,
    SLOPE_DIAMETERS_PX,
    SLOPE_LONG_SIDES_PX,
    Shape,
    SlopeFit,
    SlopePoint,
    blurred,
    blurred_by_disc,
    fit_slope,
    resized,
)
from mddnet.evaluate.confidence import (
    MACRO,
    MeanCurve,
    PhotoCurves,
    confidence_curves,
    curve_measures,
    inv_depth_errors,
    mean_curves,
)
from mddnet.evaluate.frame_measures import (
    BLUR_THRESHOLD_PX,
    coc_measures,
    depth_order_measures,
    detection_measures,
    metric_depth_measures,
)
from mddnet.evaluate.pairs import PairRow, SharperMasks, clearly_sharper, list_pairs, pair_row, read_pair
from mddnet.evaluate.peers.peer import BLUR_QUANTITIES, BlurMap, Peer, PeerAnswer, blur_of, checked_answer, inv_depth_of
from mddnet.evaluate.scenes import (
    FRAMES_PER_SCENE,
    SCENE_KINDS,
    SCENES_PER_PLACE,
    EvaluationScene,
    SceneChoice,
    SceneTruth,
    choose_frames,
    choose_scenes,
    draw_known,
    has_true_defocus,
    near_depth_edges,
    read_frame,
    read_truth,
    true_signed_defocus,
)
from mddnet.metrics import OrdinalPairs
from mddnet.types import BoolArray, Float32Array, FrameRecord, UInt8Array

PARTS = (*SCENE_KINDS, "pairs", "coc_slope", "psf_shapes")
"""What an evaluation consists of, and what ``only`` may name."""

BLUR_SHARE_MIN = 0.02
"""A frame shows blur if at least this share of random masked pixel pairs has clearly different CoCs."""
SIGN_DEFOCUS_MIN = 0.01
"""Sign is asked where the true CoC exceeds this share of the long side ..."""
SIGN_RANGE_MIN = 0.10
"""... and the distance to the plane of focus this share of the scene's range of inverse depth."""
EDGE_STEP = 0.10
"""A depth edge is a step of more than this share of the scene's range ..."""
EDGE_REACH = 0.02
"""... and reaches as far as this share of the long side."""
NETWORK_SIZE = (384, 512)
"""Height and width of the photo at which speed is measured."""
_SPEED_RUNS = 20


class LensLaw(Protocol):
    """What the harness reads of a fitted lens law; see :class:`mddnet.types.LensLawFit`."""

    @property
    def found(self) -> bool: ...
    @property
    def u_focus(self) -> float: ...


class PredictedMaps(Protocol):
    """What the harness reads of a prediction; all maps are (H, W) of the photo.

    A ``confidence``, larger is surer, is measured where a prediction has one.
    """

    @property
    def inv_depth(self) -> Float32Array: ...
    @property
    def defocus_px(self) -> Float32Array: ...
    @property
    def signed_defocus_px(self) -> Float32Array: ...
    @property
    def focus(self) -> LensLaw: ...


class Predictor(Protocol):
    """Anything that predicts can be evaluated: the shipped model, a checkpoint, an oracle, a baseline."""

    def predict(self, photo: UInt8Array, /) -> PredictedMaps:
        """Predict the maps of one (H, W, 3) uint8 sRGB photo."""
        ...


OnProgress = Callable[[int, int, str], None]
"""Called with the steps done, all steps, and what is next."""


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FrameRow:
    """Measures of one photo.

    Attributes:
        scene: name of the scene.
        place: its place.
        file: file name of the photo.
        measures: value by name of measure; a measure that does not apply is absent or NaN.
    """

    scene: str
    place: str
    file: str
    measures: dict[str, float]


@dataclass(slots=True)
class KindResult:
    """Measures of all scenes of one kind: per photo, and as means over photos, then scenes, then places.

    Attributes:
        frames: one row per measured photo.
        scenes: mean over the photos, per scene.
        places: mean over the scenes, per place.
        macro: mean over the places.
        frames_without_blur: photos left out since their truth has too few clear CoC pairs, by scene.
        frames_without_true_defocus: photos of captures whose order only is known, measured for depth alone.
        confidence: sparsification curves by error and place; empty for a model without a confidence.
        peers: what other methods score on the same photos, by name.
        calibration: answers against truths in bins, or None where nothing was counted.
        cases: by leading measure, the worst and the best photos with their pictures; not in the JSON.
    """

    frames: list[FrameRow] = field(default_factory=list)
    scenes: dict[str, dict[str, float]] = field(default_factory=dict)
    places: dict[str, dict[str, float]] = field(default_factory=dict)
    macro: dict[str, float] = field(default_factory=dict)
    frames_without_blur: dict[str, int] = field(default_factory=dict)
    frames_without_true_defocus: int = 0
    confidence: dict[str, dict[str, MeanCurve]] = field(default_factory=dict)
    peers: dict[str, KindResult] = field(default_factory=dict)
    calibration: Calibration | None = None
    cases: dict[str, tuple[tuple[Case, ...], tuple[Case, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PairsResult:
    """Near/far accuracy of all pairs, and blur detection on them.

    Attributes:
        rows: one per pair.
        mean: mean over the pairs that have a clear pixel.
        worst: the lowest of them.
        detection: mean of each measure of blur detection.
        peers: what other methods score on the same pairs, by name; those without blur are absent.
    """

    rows: tuple[PairRow, ...]
    mean: float
    worst: float
    detection: dict[str, float] = field(default_factory=dict)
    peers: dict[str, PairsResult] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SlopeResult:
    """Answers to discs of known size.

    Attributes:
        points: one per photo, size and disc.
        by_size: the fit per long side.
        overall: the fit through all points.
    """

    points: tuple[SlopePoint, ...]
    by_size: dict[int, SlopeFit]
    overall: SlopeFit


@dataclass(frozen=True, slots=True)
class SpeedResult:
    """Median time on this machine.

    Attributes:
        what: what was timed: ``"network"`` alone, or ``"predict"`` where the model does not show its network.
        height: of the input.
        width: of the input.
        milliseconds: median over the runs.
        runs: number of runs, after a warm-up.
    """

    what: str
    height: int
    width: int
    milliseconds: float
    runs: int


@dataclass(slots=True)
class Evaluation:
    """All that one evaluation measured.

    Attributes:
        model: name of the model.
        split: side of the split.
        options: the choices that the numbers depend on.
        kinds: result per kind of scene.
        pairs: near/far pairs, or None if not asked for.
        coc_slope: blur of known size, or None if not asked for.
        psf_shapes: blur of known size and shape, or None if not asked for; slopes up to 16 px.
        speed: time, or None if not asked for.
        peers: the methods that the model is compared with, each with the quantities that it states.
        places_without_split: places that the split does not name; their scenes took no part.
        failures: what could not be measured, with the reason.
        seconds: how long it took.
    """

    model: str
    split: str
    options: dict[str, Any]
    kinds: dict[str, KindResult] = field(default_factory=dict)
    pairs: PairsResult | None = None
    coc_slope: SlopeResult | None = None
    psf_shapes: dict[Shape, SlopeFit] | None = None
    speed: SpeedResult | None = None
    peers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    places_without_split: tuple[str, ...] = ()
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def headline(self) -> dict[str, float]:
        """Macro-averages as ``KIND.MEASURE``; ``pairs.*``, ``coc_slope.slope*``, ``psf_shapes.*``, ``speed.*``."""
        numbers = {
            f"{kind}.{name}": value for kind, result in self.kinds.items() for name, value in result.macro.items()
        }
        if self.pairs is not None:
            numbers |= {"pairs.mean": self.pairs.mean, "pairs.worst": self.pairs.worst}
            numbers |= {f"pairs.{name}": value for name, value in self.pairs.detection.items()}
        if self.coc_slope is not None:
            numbers["coc_slope.slope"] = self.coc_slope.overall.slope
            numbers |= {f"coc_slope.slope_{size}": fit.slope for size, fit in self.coc_slope.by_size.items()}
        if self.psf_shapes is not None:
            numbers |= {f"psf_shapes.slope_{shape}": fit.slope for shape, fit in self.psf_shapes.items()}
        if self.speed is not None:
            numbers[f"speed.{self.speed.what}_ms"] = self.speed.milliseconds
        return numbers

    def as_dict(self) -> dict[str, Any]:
        """Everything but the pictures as plain dicts and lists, headline first; NaN stays NaN."""
        pictureless = replace(self, kinds={kind: replace(result, cases={}) for kind, result in self.kinds.items()})
        return {"headline": self.headline, **asdict(pictureless)}


# --- the run ----------------------------------------------------------------------------------------------------------


def evaluate_model(
    model: Predictor,
    scenes_root: Path | None,
    data_root: Path | None,
    split: str = "dev",
    only: Sequence[str] = PARTS,
    *,
    name: str = "model",
    places: Mapping[str, str] | None = None,
    frames_per_scene: int | None = None,
    scenes_per_place: int = SCENES_PER_PLACE,
    pairs: int = 20_000,
    seed: int = 0,
    speed: bool = False,
    peers: Sequence[Peer] = (),
    alignment: AlignmentChoice | None = None,
    blur_threshold_px: float = BLUR_THRESHOLD_PX,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Measure a model on one side of the split.

    Order and sign are asked at pixels that are textured in the sharp image and whose depth is known and trusted
    (confidence above ``scenes.CONFIDENCE_MIN``); sizes of the CoC at all known and trusted pixels.

    Args:
        model: anything with ``predict``.
        scenes_root: folder of built scenes; None leaves all kinds of scenes and the slope out.
        data_root: folder with ``split.csv`` and ``pairs``; None leaves the pairs out and needs ``places``.
        split: ``"dev"`` or ``"train"``.
        only: the parts to measure, of :data:`PARTS`.
        name: name of the model in the tables.
        places: split by place, instead of ``split.csv``.
        frames_per_scene: most photos of a scene; None takes the default of each kind.
        scenes_per_place: most scenes of a place.
        pairs: random pixel pairs per photo and measure.
        seed: every draw is a function of it and of the photo's name.
        speed: whether to time the network, too.
        peers: other methods to measure on the same photos and pairs.
        alignment: of the prediction with the truth, for the measures in metres; None is robust scale-and-shift in
            inverse depth.
        blur_threshold_px: a pixel is blurred where its CoC exceeds this, in the prediction and in the truth.
        on_progress: called before each step.

    Returns:
        The evaluation. A scene or pair that cannot be read is listed in ``failures``, the others are measured.

    Raises:
        ValueError: for an unknown part, or a threshold that is not positive.
        ModelError: for two peers of one name.
        CaptureError: if there are no scenes or no pairs where they are asked for.
    """
    alignment = alignment or AlignmentChoice()
    unknown = [part for part in only if part not in PARTS]
    if unknown:
        raise ValueError(f"unknown part {unknown[0]!r}; expected some of {', '.join(PARTS)}")
    if not blur_threshold_px > 0:
        raise ValueError(f"blur_threshold_px is {blur_threshold_px}; expected a positive number of pixels")
    stated = stated_quantities(peers)
    started = time.monotonic()
    result = Evaluation(
        name,
        split,
        {
            "seed": seed,
            "pairs_per_photo": pairs,
            "frames_per_scene": frames_per_scene or dict(FRAMES_PER_SCENE),
            "scenes_per_place": scenes_per_place,
            "only": list(only),
            "alignment": alignment.words(),
            "blur_threshold_px": blur_threshold_px,
        },
        peers=stated,
    )
    choice = _choose(scenes_root, data_root, split, only, places, scenes_per_place)
    result.failures += choice.failures
    result.places_without_split = choice.places_without_split
    measured = [scene for scene in choice.scenes if scene.kind in only]
    frames = {s.folder: choose_frames(s, frames_per_scene or FRAMES_PER_SCENE[s.kind]) for s in measured}
    slope_scenes = _one_per_place(choice.scenes) if "coc_slope" in only else []
    shape_scenes = _one_per_place(choice.scenes) if "psf_shapes" in only else []
    pair_folders = list_pairs(data_root / "pairs") if "pairs" in only and data_root is not None else []
    steps = Steps(
        sum(len(f) for f in frames.values())
        + sum(scene.kind != "focal_stacks" for scene in measured)
        + len(pair_folders)
        + len(slope_scenes)
        + len(shape_scenes),
        on_progress,
    )

    for kind in SCENE_KINDS:
        if kind not in only or scenes_root is None:
            continue
        kind_result = KindResult(peers={name: KindResult() for name in stated})
        run = _KindRun(
            model=model,
            peers=peers,
            result=kind_result,
            pairs=pairs,
            seed=seed,
            alignment=alignment,
            blur_threshold_px=blur_threshold_px,
            failures=result.failures,
            steps=steps,
        )
        for scene in (s for s in measured if s.kind == kind):
            try:
                run.evaluate(scene, frames[scene.folder])
            except MddnetError as error:
                result.failures.append((str(scene.folder), str(error)))
        _summarise(kind_result, run.curves)
        run.keep_calibration_and_cases()
        result.kinds[kind] = kind_result
    if pair_folders:
        result.pairs = _evaluate_pairs(model, peers, pair_folders, blur_threshold_px, result.failures, steps)
    if slope_scenes:
        result.coc_slope = _evaluate_slope(model, slope_scenes, result.failures, steps)
    if shape_scenes:
        result.psf_shapes = _evaluate_shapes(model, shape_scenes, result.failures, steps)
    if speed:
        steps.next("speed")
        result.speed = measure_speed(model)
    steps.finish()
    result.seconds = time.monotonic() - started
    return result


class Steps:
    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self.total, self.done, self._call = total, -1, on_progress

    def next(self, what: str) -> None:
        self.done += 1
        if self._call is not None:
            self._call(min(self.done, self.total), self.total, what)

    def finish(self) -> None:
        if self._call is not None:
            self._call(self.total, self.total, "done")


def _choose(
    scenes_root: Path | None,
    data_root: Path | None,
    split: str,
    only: Sequence[str],
    places: Mapping[str, str] | None,
    scenes_per_place: int,
) -> SceneChoice:
    kinds = (
        SCENE_KINDS if {"coc_slope", "psf_shapes"} & set(only) else tuple(kind for kind in SCENE_KINDS if kind in only)
    )
    if scenes_root is None or not kinds:
        return SceneChoice((), (), 0, ())
    if places is None:
        if data_root is None:
            raise ValueError("neither data_root (with split.csv) nor places is given; expected one of them")
        from mddnet.data.split import read_split

        places = read_split(data_root / "split.csv")
    return choose_scenes(scenes_root, places, split, kinds, scenes_per_place)


def _one_per_place(scenes: Sequence[EvaluationScene]) -> list[EvaluationScene]:
    """One scene of each place of the kinds whose sharp image is sharp by capture or by fusion."""
    first: dict[tuple[str, str], EvaluationScene] = {}
    for scene in scenes:
        if scene.kind != "light_fields":
            first.setdefault((scene.kind, scene.record.place), scene)
    return list(first.values())


# --- scenes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BothWays:
    """A prediction for a photo as it is, and for the photo turned by 180 degrees, turned back."""

    upright: PredictedMaps
    turned_inv_depth: Float32Array
    turned_defocus_px: Float32Array
    turned_signed_px: Float32Array


def predict_checked(model: Predictor, photo: UInt8Array) -> PredictedMaps:
    """Predict, and refuse maps of another size than the photo.

    Raises:
        ModelError: naming the sizes.
    """
    maps = model.predict(photo)
    for name in ("inv_depth", "defocus_px", "signed_defocus_px"):
        shape = np.shape(getattr(maps, name))
        if shape != photo.shape[:2]:
            raise ModelError(
                f"the model's {name} has shape {shape} for a photo of {photo.shape[:2]}; expected the same"
            )
    confidence = confidence_of(maps)
    if confidence is not None and confidence.shape != photo.shape[:2]:
        raise ModelError(
            f"the model's confidence has shape {confidence.shape} for a photo of {photo.shape[:2]}; expected the same"
        )
    return maps


def confidence_of(maps: PredictedMaps) -> Float32Array | None:
    return getattr(maps, "confidence", None)


def predict_both_ways(model: Predictor, photo: UInt8Array) -> BothWays:
    upright = predict_checked(model, photo)
    turned = predict_checked(model, np.ascontiguousarray(photo[::-1, ::-1]))
    return BothWays(
        upright,
        turned.inv_depth[::-1, ::-1],
        turned.defocus_px[::-1, ::-1],
        turned.signed_defocus_px[::-1, ::-1],
    )


def stated_quantities(peers: Sequence[Peer]) -> dict[str, tuple[str, ...]]:
    """What each peer states, by its name.

    Raises:
        ModelError: for two peers of one name.
    """
    stated: dict[str, tuple[str, ...]] = {peer.name: tuple(peer.quantities) for peer in peers}
    if len(stated) < len(peers):
        raise ModelError(f"compared with {', '.join(peer.name for peer in peers)}; expected different names")
    return stated


def seed_of(seed: int, *names: str) -> int:
    return zlib.crc32("/".join((str(seed), *names)).encode())


@dataclass(slots=True, kw_only=True)
class PhotoRun:
    """What measuring photos one after another needs, and what it gathers on the way."""

    model: Predictor
    peers: Sequence[Peer]
    result: KindResult
    pairs: int
    seed: int
    alignment: AlignmentChoice
    blur_threshold_px: float
    failures: list[tuple[str, str]]
    steps: Steps
    curves: list[PhotoCurves] = field(default_factory=list)
    calibration: CalibrationCounts = field(default_factory=CalibrationCounts)
    cases: CaseKeeper = field(default_factory=CaseKeeper)

    def keep_calibration_and_cases(self) -> None:
        """Put what was gathered into the result."""
        self.result.calibration = self.calibration.result()
        self.result.cases = self.cases.worst_and_best()


class _KindRun(PhotoRun):
    """Measures the scenes of one kind, one after another."""

    def evaluate(self, scene: EvaluationScene, frames: Sequence[FrameRecord]) -> None:
        record = scene.record
        truth = read_truth(scene)
        depth_pairs = metrics.depth_ordinal_pairs(
            truth.inv_depth, truth.mask, pairs=self.pairs, seed=seed_of(self.seed, record.name, "depth")
        )
        if scene.kind != "focal_stacks":
            self.steps.next(f"{record.name} sharp")
            maps = predict_both_ways(self.model, truth.sharp)
            measures = {
                "depth_ordinal_sharp": depth_pairs.accuracy(maps.upright.inv_depth),
                "depth_ordinal_sharp_turned": depth_pairs.accuracy(maps.turned_inv_depth),
            }
            self.result.frames.append(FrameRow(record.name, record.place, record.sharp, measures))
        for frame in frames:
            self.steps.next(f"{record.name} {frame.file}")
            defocus_pairs: OrdinalPairs | None = None
            if has_true_defocus(record, frame):
                defocus_pairs = metrics.defocus_ordinal_pairs(
                    np.abs(true_signed_defocus(truth, frame)),
                    truth.mask,
                    pairs=self.pairs,
                    seed=seed_of(self.seed, record.name, frame.file, "defocus"),
                )
            known_order_only = record.unit == "ordinal" and record.provenance == "real"
            if not known_order_only and (defocus_pairs is None or defocus_pairs.admissible_share < BLUR_SHARE_MIN):
                without = self.result.frames_without_blur
                without[record.name] = without.get(record.name, 0) + 1
                continue
            if defocus_pairs is None:
                self.result.frames_without_true_defocus += 1
            self._measure(self._asked(scene, frame, truth, depth_pairs, defocus_pairs))

    def _measure(self, asked: _Asked) -> None:
        pred, measures = self._measure_model(asked)
        answers = {peer.name: answer for peer in self.peers if (answer := self._measure_peer(peer, asked)) is not None}
        self.cases.offer(
            f"{asked.scene.record.name} {asked.frame.file}",
            asked.scene.record.place,
            measures,
            lambda: case_pictures(
                asked.photo,
                {"defocus_px": pred.defocus_px, "inv_depth": pred.inv_depth},
                answers,
                inv_depth=asked.truth.inv_depth,
                defocus_px=None if asked.signed_px is None else np.abs(asked.signed_px),
            ),
        )

    def _asked(
        self,
        scene: EvaluationScene,
        frame: FrameRecord,
        truth: SceneTruth,
        depth_pairs: OrdinalPairs,
        defocus_pairs: OrdinalPairs | None,
    ) -> _Asked:
        drawn = draw_known(truth.inv_depth, seed_of(self.seed, scene.record.name, frame.file, "pixels"))
        signed_px = None if defocus_pairs is None else true_signed_defocus(truth, frame)
        photo = read_frame(scene, frame, truth)
        return _Asked(scene, frame, truth, photo, depth_pairs, defocus_pairs, signed_px, drawn)

    def _measure_model(self, asked: _Asked) -> tuple[PredictedMaps, dict[str, float]]:
        record, truth = asked.scene.record, asked.truth
        maps = predict_both_ways(self.model, asked.photo)
        pred = maps.upright
        measures = depth_order_measures(pred.inv_depth, maps.turned_inv_depth, truth, asked.depth_pairs) | {
            "depth_ordinal_row": asked.depth_pairs.accuracy(row_inv_depth(*truth.inv_depth.shape)),
            # the lens law alone: signed blur falls with inverse depth
            "depth_ordinal_law": asked.depth_pairs.accuracy(-pred.signed_defocus_px),
            "depth_ordinal_law_turned": asked.depth_pairs.accuracy(-maps.turned_signed_px),
        }
        if record.unit == "1/m":
            measures |= metric_depth_measures(pred.inv_depth, truth.inv_depth, self.alignment)
        if asked.defocus_pairs is not None and asked.signed_px is not None:
            # what the law would give with a perfect sign
            measures["depth_ordinal_law_true_sign"] = asked.depth_pairs.accuracy(
                -np.sign(asked.signed_px) * pred.defocus_px
            )
            measures |= asked.blur_measures(BlurMap(pred.defocus_px, pred.defocus_px, None), self.blur_threshold_px)
            measures["defocus_ordinal_turned"] = asked.defocus_pairs.accuracy(maps.turned_defocus_px)
            blurred = asked.blurred(self.blur_threshold_px)
            measures |= defocus_baselines(asked.photo, asked.defocus_pairs, blurred, asked.drawn)
            measures |= _sign_measures(pred, truth, asked.signed_px, asked.frame)
            if "coc_label_noise_px" in record.measures:
                measures["coc_label_noise_px"] = record.measures["coc_label_noise_px"]
            if record.unit != "ordinal":
                measures |= _focus_measures(pred, truth, asked.frame)
        confidence = confidence_of(pred)
        errors = None
        if record.unit != "ordinal" and truth.range > 0 and len(asked.drawn):
            errors = inv_depth_errors(pred.inv_depth, truth, asked.drawn)
        if confidence is not None:
            curves = confidence_curves(
                confidence,
                pred.inv_depth,
                pred.defocus_px,
                truth,
                None if asked.signed_px is None else np.abs(asked.signed_px),
                asked.depth_pairs,
                asked.drawn,
                depth_errors=errors,
            )
            measures |= curve_measures(curves)
            self.curves.append(PhotoCurves(record.name, record.place, curves))
        self._calibrate(asked, pred, confidence, errors)
        self.result.frames.append(FrameRow(record.name, record.place, asked.frame.file, measures))
        return pred, measures

    def _calibrate(
        self,
        asked: _Asked,
        pred: PredictedMaps,
        confidence: Float32Array | None,
        depth_errors: NDArray[np.floating] | None,
    ) -> None:
        error_px = None
        if asked.signed_px is not None:
            predicted, true = pred.defocus_px.ravel()[asked.drawn], np.abs(asked.signed_px.ravel()[asked.drawn])
            self.calibration.add_coc(predicted, true)
            error_px = np.abs(predicted - true)
        if confidence is not None:
            self.calibration.add_confidence(confidence.ravel()[asked.drawn], error_px, depth_errors)

    def _measure_peer(self, peer: Peer, asked: _Asked) -> PeerAnswer | None:
        record = asked.scene.record
        measures: dict[str, float] = {}
        try:
            answer = checked_answer(peer, asked.photo)
            inv_depth = inv_depth_of(answer)
            if inv_depth is not None:
                turned = inv_depth_of(checked_answer(peer, np.ascontiguousarray(asked.photo[::-1, ::-1])))
                assert turned is not None
                measures |= depth_order_measures(inv_depth, turned[::-1, ::-1], asked.truth, asked.depth_pairs)
                if record.unit == "1/m":
                    measures |= metric_depth_measures(inv_depth, asked.truth.inv_depth, self.alignment)
        except MddnetError as error:
            self.failures.append((f"{peer.name} on {asked.scene.folder / asked.frame.file}", str(error)))
            return None
        blur = blur_of(answer)
        if blur is not None and asked.signed_px is not None:
            measures |= asked.blur_measures(blur, self.blur_threshold_px)
        if measures:
            row = FrameRow(record.name, record.place, asked.frame.file, measures)
            self.result.peers[peer.name].frames.append(row)
        return answer


@dataclass(frozen=True, slots=True)
class _Asked:
    """One photo, and what is asked of it; the last three fields but ``drawn`` are None where no CoC is known."""

    scene: EvaluationScene
    frame: FrameRecord
    truth: SceneTruth
    photo: UInt8Array
    depth_pairs: OrdinalPairs
    defocus_pairs: OrdinalPairs | None
    signed_px: Float32Array | None
    drawn: NDArray[np.int64]

    def blurred(self, threshold_px: float) -> BoolArray:
        """Where the drawn pixels are blurred in truth."""
        assert self.signed_px is not None
        return np.asarray(np.abs(self.signed_px.ravel()[self.drawn]) > threshold_px)

    def blur_measures(self, blur: BlurMap, threshold_px: float) -> dict[str, float]:
        """Order, size where there is one, and detection of blur."""
        assert self.defocus_pairs is not None and self.signed_px is not None
        true_px = np.abs(self.signed_px.ravel()[self.drawn])
        measures = {
            "defocus_ordinal": self.defocus_pairs.accuracy(blur.score),
            "defocus_spearman": metrics.spearman(blur.score.ravel()[self.drawn], true_px),
        }
        if blur.defocus_px is not None:
            measures |= coc_measures(blur.defocus_px, np.abs(self.signed_px))
        score = blur.score.ravel()[self.drawn]
        detected = blur.detected(threshold_px)
        found = None if detected is None else detected.ravel()[self.drawn]
        return measures | detection_measures(found, score, self.blurred(threshold_px))


def _sign_measures(
    pred: PredictedMaps, truth: SceneTruth, signed_px: Float32Array, frame: FrameRecord
) -> dict[str, float]:
    """Side of the plane of focus where the blur is clear: everywhere, near depth edges, away from them."""
    long_side = max(signed_px.shape)
    clear = truth.mask & (np.abs(truth.inv_depth - frame.u_focus) > SIGN_RANGE_MIN * truth.range)
    min_defocus_px = SIGN_DEFOCUS_MIN * long_side
    edges = near_depth_edges(truth.inv_depth, EDGE_STEP * truth.range, round(EDGE_REACH * long_side))
    measures = {}
    for name, where in (
        ("sign_accuracy", clear),
        ("sign_near_edges", clear & edges),
        ("sign_away_from_edges", clear & ~edges),
    ):
        measures[name] = metrics.sign_accuracy(pred.signed_defocus_px, signed_px, where, min_defocus_px=min_defocus_px)
    measures["sign_behind"] = metrics.sign_accuracy(
        np.ones_like(signed_px), signed_px, clear, min_defocus_px=min_defocus_px
    )
    return measures


def _focus_measures(pred: PredictedMaps, truth: SceneTruth, frame: FrameRecord) -> dict[str, float]:
    """Error of the focus as a share of the scene's range, at most 1, after robust alignment by scale and shift."""
    measures = {"focus_found": float(pred.focus.found)}
    if pred.focus.found and truth.range > 0 and truth.mask.any():
        alignment = fit_alignment(pred.inv_depth, truth.inv_depth, truth.mask)
        error = abs(alignment.scale * pred.focus.u_focus + alignment.shift - frame.u_focus) / truth.range
        measures["u_focus_error"] = min(float(error), 1.0)
    return measures


# --- summaries --------------------------------------------------------------------------------------------------------

_POOLED = ("coc_mae_px", "coc_mse_px2", "coc_constant_mae_px", "coc_bias_px", "sigma_mae", "sigma_mse")
_BEST_SHARPNESS = ("defocus_ordinal_sharpness", "blur_ap_sharpness")


def _summarise(result: KindResult, curves: Sequence[PhotoCurves] = ()) -> None:
    """Means over photos, scenes and places; CoC errors are pooled over the pixels of a scene and of a place."""
    for peer in result.peers.values():
        _summarise(peer)
    place_of = {row.scene: row.place for row in result.frames}
    for scene in place_of:
        result.scenes[scene] = _mean([row.measures for row in result.frames if row.scene == scene])
    for place in dict.fromkeys(place_of.values()):
        summary = _mean([result.scenes[scene] for scene, p in place_of.items() if p == place])
        summary["scenes"] = float(sum(p == place for p in place_of.values()))
        summary["frames"] = float(sum(row.place == place for row in result.frames))
        best_sharpness(summary)
        summary |= _median_focus_error([row.measures for row in result.frames if row.place == place])
        if "sign_behind" in summary:
            summary["sign_constant"] = max(summary["sign_behind"], 1 - summary["sign_behind"])
        result.places[place] = summary
    counts = ("scenes", "frames", "coc_pixels")
    result.macro = {
        name: value for name, value in plain_mean(list(result.places.values())).items() if name not in counts
    }
    result.macro |= _median_focus_error([row.measures for row in result.frames])
    result.confidence = mean_curves(curves)
    for error, by_place in result.confidence.items():
        for place, curve in by_place.items():
            summary = result.macro if place == MACRO else result.places[place]
            summary[f"falling_steps_{error}"] = float(curve.falling_steps)


def _median_focus_error(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Median over photos; one whose plane of focus was not found counts as wrong by the whole range of the scene."""
    errors = [row.get("u_focus_error", 1.0) for row in rows if "focus_found" in row]
    return {"u_focus_error_median": float(np.median(errors))} if errors else {}


def best_sharpness(summary: dict[str, float]) -> None:
    """Add negative sharpness at its best smoothing: a baseline gets the best of what it could be on these photos."""
    for name in _BEST_SHARPNESS:
        sharpness = [summary.get(f"{name}_{scale}", np.nan) for scale in SHARPNESS_SCALES]
        if np.isfinite(sharpness).any():
            summary[name] = float(np.nanmax(sharpness))


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each measure over the rows that have it; CoC errors weighted by their pixels, whose counts add up."""
    summary = plain_mean(rows)
    weighted = [row for row in rows if row.get("coc_pixels", 0.0) > 0]
    if weighted:
        pixels = np.array([row["coc_pixels"] for row in weighted])
        summary["coc_pixels"] = float(pixels.sum())
        for name in _POOLED:
            summary[name] = float(np.array([row[name] for row in weighted]) @ pixels / pixels.sum())
    return summary


def plain_mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    summary = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row and np.isfinite(row[name])]
        if values:
            summary[name] = float(np.mean(values))
    return summary


# --- pairs, slope, speed ----------------------------------------------------------------------------------------------


def _evaluate_pairs(
    model: Predictor,
    peers: Sequence[Peer],
    folders: Sequence[Path],
    threshold_px: float,
    failures: list[tuple[str, str]],
    steps: Steps,
) -> PairsResult:
    rows: list[PairRow] = []
    peer_rows: dict[str, list[PairRow]] = {
        peer.name: [] for peer in peers if set(peer.quantities) & set(BLUR_QUANTITIES)
    }
    for folder in folders:
        steps.next(f"pair {folder.name}")
        try:
            photos = read_pair(folder)
            masks = clearly_sharper(*photos)
            maps = [predict_checked(model, photo).defocus_px for photo in photos]
        except MddnetError as error:
            failures.append((str(folder), str(error)))
            continue
        rows.append(_pair_row(folder.name, [BlurMap(coc, coc, None) for coc in maps], masks, threshold_px))
        for peer in peers:
            if peer.name not in peer_rows:
                continue
            try:
                blurs = [blur for photo in photos if (blur := blur_of(checked_answer(peer, photo))) is not None]
            except MddnetError as error:
                failures.append((f"{peer.name} on {folder}", str(error)))
                continue
            peer_rows[peer.name].append(_pair_row(folder.name, blurs, masks, threshold_px))
    result = _pairs_result(rows)
    return replace(result, peers={name: _pairs_result(found) for name, found in peer_rows.items()})


def _pair_row(name: str, blurs: Sequence[BlurMap], masks: SharperMasks, threshold_px: float) -> PairRow:
    first, second = blurs
    return pair_row(
        name, (first.score, second.score), (first.detected(threshold_px), second.detected(threshold_px)), masks
    )


def _pairs_result(rows: Sequence[PairRow]) -> PairsResult:
    clear = [row for row in rows if row.pixels]
    if not clear:
        return PairsResult(tuple(rows), float("nan"), float("nan"))
    accuracies = [row.accuracy for row in clear]
    detection = plain_mean([row.detection for row in clear])
    return PairsResult(tuple(rows), float(np.mean(accuracies)), min(accuracies), detection)


def _evaluate_slope(
    model: Predictor, scenes: Sequence[EvaluationScene], failures: list[tuple[str, str]], steps: Steps
) -> SlopeResult:
    points: list[SlopePoint] = []
    for scene in scenes:
        steps.next(f"blur of known size, {scene.record.name}")
        try:
            points += slope_points(model, scene.record.name, read_truth(scene).sharp)
        except MddnetError as error:
            failures.append((str(scene.folder), str(error)))
    by_size = {
        size: fit_slope(here) for size in SLOPE_LONG_SIDES_PX if (here := [p for p in points if p.long_side_px == size])
    }
    return SlopeResult(tuple(points), by_size, fit_slope(points))


def slope_points(model: Predictor, name: str, sharp: UInt8Array) -> list[SlopePoint]:
    """Median predicted defocus over textured pixels of a sharp photo, as it is and behind discs, at each size it has.

    Args:
        model: anything with ``predict``.
        name: name of the photo.
        sharp: (H, W, 3) uint8.
    """
    points: list[SlopePoint] = []
    for long_side_px in SLOPE_LONG_SIDES_PX:
        photo = resized(sharp, long_side_px)
        if photo is None:
            continue
        mask = metrics.texture_mask(photo)
        if not mask.any():
            continue
        for diameter_px in (0.0, *SLOPE_DIAMETERS_PX):
            seen = blurred_by_disc(photo, diameter_px) if diameter_px else photo
            answer = float(np.median(predict_checked(model, seen).defocus_px[mask]))
            points.append(SlopePoint(name, long_side_px, diameter_px, answer))
    return points


def _evaluate_shapes(
    model: Predictor, scenes: Sequence[EvaluationScene], failures: list[tuple[str, str]], steps: Steps
) -> dict[Shape, SlopeFit]:
    points: dict[Shape, list[SlopePoint]] = {shape: [] for shape in SHAPES}
    for scene in scenes:
        steps.next(f"shapes of blur, {scene.record.name}")
        try:
            photo = resized(read_truth(scene).sharp, SHAPE_LONG_SIDE_PX)
            if photo is None or not (mask := metrics.texture_mask(photo)).any():
                continue
            for shape in SHAPES:
                for diameter_px in SHAPE_DIAMETERS_PX:
                    seen = predict_checked(model, blurred(photo, shape, diameter_px))
                    answer = float(np.median(seen.defocus_px[mask]))
                    points[shape].append(SlopePoint(scene.record.name, SHAPE_LONG_SIDE_PX, diameter_px, answer))
        except MddnetError as error:
            failures.append((str(scene.folder), str(error)))
    fits: dict[Shape, SlopeFit] = {}
    for shape, here in points.items():
        line = fit_slope([p for p in here if p.true_px in SLOPE_DIAMETERS_PX])
        fits[shape] = replace(line, medians_px=fit_slope(here).medians_px)
    return fits


def measure_speed(model: Predictor, runs: int = _SPEED_RUNS) -> SpeedResult:
    """Median time of the network alone at 384 x 512, or of ``predict`` where the model has no ``network_maps``.

    Args:
        model: with ``network_maps(photo)`` if the network can be run alone.
        runs: how many runs after three of warm-up.
    """
    height, width = NETWORK_SIZE
    photo = np.random.default_rng(0).integers(0, 256, size=(height, width, 3), dtype=np.uint8)
    network_maps = getattr(model, "network_maps", None)
    call, what = (model.predict, "predict") if network_maps is None else (network_maps, "network")
    times = []
    for i in range(runs + 3):
        start = time.perf_counter()
        call(photo)
        if i >= 3:
            times.append(time.perf_counter() - start)
    return SpeedResult(what, height, width, 1000.0 * float(np.median(times)), runs)
