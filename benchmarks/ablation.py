"""Ablation of the input: the same metrics after each perturbation of the photos.

The stability of the predictions is listed, too: a model that relies on blur predicts the same for a photo that is
mirrored, rotated, or of another exposure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.perturbation import PERTURBATIONS, Perturbation, Perturbed
from benchmarks.settings import Settings

from mddnet import metrics
from mddnet.evaluate import Evaluation, Options, evaluate_model
from mddnet.evaluate.methods import Predictor
from mddnet.evaluate.provenance import provenance, provenance_line
from mddnet.evaluate.tables import ResultTable, number, tables_markdown
from mddnet.metrics.comparison import SIGN_DEFOCUS_MIN
from mddnet.types import Float32Array, UInt8Array

REAL_KINDS = ("focal_stacks", "light_fields")
"""Captures whose blur is real."""
UNCHANGED = "unchanged"
_THINNING = 4


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of predictions for perturbed photos with those for unchanged photos, means over photos.

    Attributes:
        rank_correlation: Spearman, of inverse depth.
        defocus_change: median of |c' - c| / max(c, 1 px) over the pixels, with the CoC c of the unchanged photo.
        same_sign: share of pixels with a CoC above 1 % of the long side that keep their sign.
    """

    rank_correlation: float
    defocus_change: float
    same_sign: float


@dataclass(slots=True)
class Ablation:
    """Results of one study."""

    model: str  # name of the model
    evaluations: dict[str, Evaluation] = field(default_factory=dict)  # by perturbation; :data:`UNCHANGED` first
    agreements: dict[str, Agreement] = field(default_factory=dict)  # by perturbation, without :data:`UNCHANGED`


@dataclass(slots=True)
class _Recorder:
    """Predicts, and stores subsampled maps of every photo."""

    model: Predictor
    kept: dict[bytes, tuple[Float32Array, Float32Array]] = field(default_factory=dict)

    def predict(self, photo: UInt8Array, /) -> Any:
        maps = self.model.predict(photo)
        key = hashlib.sha256(photo.tobytes() + str(photo.shape).encode()).digest()
        thin = slice(None, None, _THINNING)
        self.kept[key] = (
            np.array(maps.inv_depth[thin, thin], dtype=np.float32),
            np.array(maps.signed_defocus_px[thin, thin], dtype=np.float32),
        )
        return maps


def ablate(
    model: Predictor,
    scenes_root: Path,
    data_root: Path | None,
    *,
    name: str = "model",
    perturbations: Sequence[Perturbation] = PERTURBATIONS,
    split_of: Mapping[str, str] | None = None,
    options: Options | None = None,
) -> Ablation:
    """Measure a model on real blur, unchanged and after each perturbation.

    Args:
        model: a model with ``predict``.
        scenes_root: folder of built scenes.
        data_root: folder with ``split.csv``; None requires ``split_of``.
        name: name of the model in the tables.
        perturbations: perturbations of the photos.
        split_of: split by location, instead of ``split.csv``.
        options: options of the evaluation.

    Raises:
        CaptureError: if there are no scenes.
    """
    study = Ablation(name)
    plain: dict[bytes, tuple[Float32Array, Float32Array]] = {}
    runs: list[tuple[str, Predictor]] = [(UNCHANGED, model), *((p, Perturbed(model, p)) for p in perturbations)]
    for what, predictor in runs:
        recorder = _Recorder(predictor)
        study.evaluations[what] = evaluate_model(
            recorder, scenes_root, data_root, "dev", REAL_KINDS, name=name, split_of=split_of, options=options
        )
        if what == UNCHANGED:
            plain = recorder.kept
        else:
            study.agreements[what] = _agreement(plain, recorder.kept)
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

_COLUMNS = {
    "sign_accuracy": "sign",
    "sign_near_edges": "near edges",
    "sign_away_from_edges": "away",
    "depth_ordinal": "depth",
    "depth_ordinal_law": "law",
    "defocus_ordinal": "defocus",
}


def ablation_tables(study: Ablation) -> list[ResultTable]:
    """The study as tables: one per kind of capture, and one of the agreement."""
    tables = []
    for kind, title in zip(REAL_KINDS, ("Focal stacks", "Light fields"), strict=True):
        found = {what: e.kinds[kind].model for what, e in study.evaluations.items() if kind in e.kinds}
        if not any(model.macro for model in found.values()):
            continue
        rows = tuple(
            (
                what,
                *(number(model.macro.get(key, np.nan), 3) for key in _COLUMNS),
                number(min((m.get("sign_accuracy", np.inf) for m in model.locations.values()), default=np.nan), 3),
            )
            for what, model in found.items()
        )
        note = (
            "Macro-averages over locations. Near edges: within 2 % of the long side of a step in depth of more than "
            "10 % of the scene's range, where occlusion may reveal the sign; away: the rest."
        )
        columns = ("photos", *_COLUMNS.values(), "lowest sign of a location")
        tables.append(ResultTable(f"{title}: ablation", columns, rows, note))
    rows = tuple(
        (what, number(a.rank_correlation, 3), f"{a.defocus_change:.1%}", f"{a.same_sign:.1%}")
        for what, a in study.agreements.items()
    )
    note = (
        "Against the predictions for the unchanged photos. Depth: Spearman's rank correlation. Defocus: median change "
        "of the CoC, relative (to 1 px at least). Sign: share of the pixels with a clear CoC that keep it."
    )
    tables.append(ResultTable("Stability of the predictions", ("photos", "depth", "defocus", "sign"), rows, note))
    return tables


def run(settings: Settings) -> str:
    """Ablation of the model on the dev scenes: takes 25 times as long as their evaluation."""
    model, name = settings.load()
    study = ablate(model, settings.scenes, settings.data, name=name)
    made = provenance_line(provenance(), sum(e.seconds for e in study.evaluations.values()))
    return "\n".join([f"# Ablation of {name}, dev split", "", made, "", *tables_markdown(ablation_tables(study))])
