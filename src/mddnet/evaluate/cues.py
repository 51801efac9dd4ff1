"""What a model draws its answers from: the same measures after each alteration of the photos, side by side.

Beside the measures stands how far the answers themselves move: a model that reads the blur says the same of a photo
that is mirrored, turned, or exposed otherwise.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from mddnet import metrics
from mddnet.evaluate.alteration import ALTERATIONS, Alteration, Altered
from mddnet.evaluate.harness import SIGN_DEFOCUS_MIN, Evaluation, PredictedMaps, Predictor, evaluate_model
from mddnet.evaluate.provenance import provenance, provenance_words
from mddnet.evaluate.tables import ResultTable, cell, number, tables_markdown
from mddnet.io.atomic import atomic_write, plain_json
from mddnet.types import Float32Array, UInt8Array

CUE_KINDS = ("focal_stacks", "light_fields")
"""Captures whose blur is real."""
_THINNING = 4


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the answers to altered photos agree with those to the photos as they are, means over photos.

    Attributes:
        rank_correlation: Spearman, of inverse depth.
        defocus_change: median of |c' - c| / max(c, 1 px) over the pixels, CoC of the photo as it is in the denominator.
        same_side: share of pixels with a CoC above 1 % of the long side that keep their side of the plane of focus.
    """

    rank_correlation: float
    defocus_change: float
    same_side: float


@dataclass(slots=True)
class CueStudy:
    """All that one study measured.

    Attributes:
        model: name of the model.
        split: side of the split.
        evaluations: by alteration; ``"as it is"`` first.
        agreements: by alteration, without ``"as it is"``.
        seconds: how long it took.
    """

    model: str
    split: str
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    agreements: dict[str, Agreement] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def failures(self) -> list[tuple[str, str]]:
        """What could not be measured, with the reason; the same in every evaluation."""
        return self.evaluations[AS_IT_IS].failures


AS_IT_IS = "as it is"


@dataclass(slots=True)
class _Recorder:
    """Predicts, and keeps thinned maps of every photo."""

    model: Predictor
    kept: dict[bytes, tuple[Float32Array, Float32Array]] = field(default_factory=dict)

    def predict(self, photo: UInt8Array, /) -> PredictedMaps:
        maps = self.model.predict(photo)
        key = hashlib.sha256(photo.tobytes() + str(photo.shape).encode()).digest()
        thin = slice(None, None, _THINNING)
        self.kept[key] = (
            np.array(maps.inv_depth[thin, thin], dtype=np.float32),
            np.array(maps.signed_defocus_px[thin, thin], dtype=np.float32),
        )
        return maps


def study_cues(
    model: Predictor,
    scenes_root: Path,
    data_root: Path | None,
    split: str = "dev",
    *,
    name: str = "model",
    alterations: Sequence[Alteration] = ALTERATIONS,
    places: Mapping[str, str] | None = None,
    frames_per_scene: int | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> CueStudy:
    """Measure a model on real blur as it is and after each alteration.

    Args:
        model: anything with ``predict``.
        scenes_root: folder of built scenes.
        data_root: folder with ``split.csv``; None needs ``places``.
        split: ``"dev"`` or ``"train"``.
        name: name of the model in the tables.
        alterations: what to do to the photos, of :data:`~mddnet.evaluate.alteration.ALTERATIONS`.
        places: split by place, instead of ``split.csv``.
        frames_per_scene: most photos of a scene; None takes the default of each kind.
        seed: of the random pixel pairs.
        on_progress: called before each step with the steps done, all steps, and what is next.

    Raises:
        CaptureError: if there are no scenes.
    """
    started = time.monotonic()
    study = CueStudy(name, split)
    plain_answers: dict[bytes, tuple[Float32Array, Float32Array]] = {}
    runs: list[tuple[str, Predictor]] = [(AS_IT_IS, model), *((a, Altered(model, a)) for a in alterations)]
    for run, (what, predictor) in enumerate(runs):
        recorder = _Recorder(predictor)

        def show(done: int, total: int, step: str, run: int = run, what: str = what) -> None:
            if on_progress is not None:
                on_progress(run * total + done, len(runs) * total, f"{what}: {step}")

        study.evaluations[what] = evaluate_model(
            recorder,
            scenes_root,
            data_root,
            split,
            CUE_KINDS,
            name=name,
            places=places,
            frames_per_scene=frames_per_scene,
            seed=seed,
            on_progress=show,
        )
        if what == AS_IT_IS:
            plain_answers = recorder.kept
        else:
            study.agreements[what] = _agreement(plain_answers, recorder.kept)
    study.seconds = time.monotonic() - started
    return study


def _agreement(
    before: Mapping[bytes, tuple[Float32Array, Float32Array]], after: Mapping[bytes, tuple[Float32Array, Float32Array]]
) -> Agreement:
    rows = []
    for key, (u, signed_px) in before.items():
        u_after, signed_after_px = after[key]
        size = np.abs(signed_px)
        change = np.abs(np.abs(signed_after_px) - size) / np.maximum(size, 1.0)
        clear = size > SIGN_DEFOCUS_MIN * max(u.shape) * _THINNING
        same = (signed_px > 0) == (signed_after_px > 0)
        rows.append(
            (
                metrics.spearman(u_after, u),
                float(np.median(change)),
                float(same[clear].mean()) if clear.any() else float("nan"),
            )
        )
    values = np.array(rows, dtype=np.float64).reshape(-1, 3)
    means = [float(np.mean(v[np.isfinite(v)])) if np.isfinite(v).any() else float("nan") for v in values.T]
    return Agreement(*means)


# --- output -----------------------------------------------------------------------------------------------------------

_COLUMNS = (
    ("sign_accuracy", "sign"),
    ("sign_near_edges", "near edges"),
    ("sign_away_from_edges", "away"),
    ("depth_ordinal", "depth"),
    ("depth_ordinal_law", "law"),
    ("defocus_ordinal", "defocus"),
)


def cue_tables(study: CueStudy) -> list[ResultTable]:
    """The study as tables: one per kind of capture, and one of the agreement."""
    tables = []
    for kind, title in zip(CUE_KINDS, ("Focal stacks", "Light fields"), strict=True):
        macros = {what: e.kinds[kind].macro for what, e in study.evaluations.items() if kind in e.kinds}
        if not any(macros.values()):
            continue
        rows = tuple(
            (what, *(cell(macro, name, 3) for name, _ in _COLUMNS), number(_lowest_sign(study, what, kind), 3))
            for what, macro in macros.items()
        )
        note = (
            "Macro-averages over places, as in the evaluation. Near edges: within 2 % of the long side of a step in "
            "depth of more than 10 % of the scene's range, where occlusion can tell the side; away: the rest."
        )
        columns = ("photos", *(label for _, label in _COLUMNS), "lowest sign of a place")
        tables.append(ResultTable(f"{title}: cues taken away", columns, rows, note))
    rows = tuple(
        (what, number(a.rank_correlation, 3), f"{a.defocus_change:.1%}", f"{a.same_side:.1%}")
        for what, a in study.agreements.items()
    )
    note = (
        "Against the answers to the photos as they are. Depth: Spearman's rank correlation. Defocus: median change of "
        "the CoC, relative (to 1 px at least). Side: share of the pixels with a clear CoC that keep it."
    )
    tables.append(ResultTable("How far the answers stay", ("photos", "depth", "defocus", "side"), rows, note))
    return tables


def _lowest_sign(study: CueStudy, what: str, kind: str) -> float:
    values = [m["sign_accuracy"] for m in study.evaluations[what].kinds[kind].places.values() if "sign_accuracy" in m]
    return min(values, default=float("nan"))


def write_cue_study(study: CueStudy, out: Path) -> tuple[Path, Path]:
    """Write ``cues.json`` (every number) and ``cues.md`` (the tables) into a folder, made if needed."""
    out.mkdir(parents=True, exist_ok=True)
    json_path, markdown_path = out / "cues.json", out / "cues.md"
    made = provenance()
    numbers = {
        "made": made,
        "model": study.model,
        "split": study.split,
        "seconds": study.seconds,
        "agreements": {what: asdict(a) for what, a in study.agreements.items()},
        "evaluations": {what: e.as_dict() for what, e in study.evaluations.items()},
    }
    data = (json.dumps(plain_json(numbers), indent=1, allow_nan=False) + "\n").encode()
    atomic_write(json_path, lambda stream: stream.write(data))
    lines = [
        f"# What {study.model} draws its answers from, {study.split} split",
        "",
        provenance_words(made, study.seconds),
        "",
        *tables_markdown(cue_tables(study)),
    ]
    atomic_write(markdown_path, lambda stream: stream.write("\n".join(lines).encode()))
    return json_path, markdown_path
