"""What verdicts and expected errors are worth: photos of dev places with known depth and defocus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.settings import Settings
from numpy.typing import NDArray

from mddnet.data.split import read_split
from mddnet.metrics.alignment import fit_alignment
from mddnet.metrics.sparsification import Sparsification, sparsification
from mddnet.predict.calibration import BAD_SCORE, GOOD_SCORE
from mddnet.predict.predictor import Model
from mddnet.predict.verdict import CALLS

CLASSES = ("good", "between", "bad")
PIXELS = 20_000
STEPS = slice(0, 81, 10)
"""Points of the sparsification curve: 0 to 80 % removed."""
QUANTITIES = ("depth", "defocus")


@dataclass(frozen=True)
class Measured:
    """One photo: the calls, the scores, and how the expected errors order the errors."""

    kind: str
    location: str
    sharp: bool
    calls: Mapping[str, str]
    probability: Mapping[str, float | None]
    scores: Mapping[str, float]  # NaN where the truth is not known
    curves: Mapping[str, Sparsification]


def score_class(score: float) -> str:
    """``good``, ``between`` or ``bad``."""
    return "good" if score >= GOOD_SCORE else "bad" if score < BAD_SCORE else "between"


def measured(model: Model, settings: Settings) -> list[Measured]:
    """All dev photos."""
    from research.verdict.cases import find_cases  # needs the extra build

    student = settings.work / "student"
    split = student / "split.csv"
    locations = read_split(split if split.exists() else settings.data / "split.csv")
    scenes = student / "scenes" if (student / "scenes").is_dir() else settings.scenes
    results = []
    for case in find_cases(scenes, locations, "dev"):
        truth = case.truth()
        prediction = model.predict(truth.photo)
        signed_px = prediction.signed_defocus_px
        known = np.flatnonzero(np.isfinite(truth.inv_depth))
        drawn = known[:: max(1, len(known) // PIXELS)]
        curves = {}
        if truth.signed_px is not None and truth.range > 0 and len(drawn):
            u, true = prediction.inv_depth.ravel()[drawn], truth.inv_depth.ravel()[drawn]
            error = np.abs(fit_alignment(u, true).apply(u) - true) / truth.range
            curves["depth"] = sparsification(error, prediction.confidence.ravel()[drawn])
            expected = prediction.expected_defocus_error_px
            order = prediction.confidence if expected is None else -expected
            error_px = np.abs(np.abs(signed_px.ravel()[drawn]) - np.abs(truth.signed_px.ravel()[drawn]))
            if not case.sharp:
                curves["defocus"] = sparsification(error_px, order.ravel()[drawn])
        verdict = prediction.verdict
        results.append(
            Measured(
                case.kind,
                case.location,
                case.sharp,
                {name: getattr(verdict, name).call for name in QUANTITIES},
                {name: getattr(verdict, name).probability for name in QUANTITIES},
                {"depth": truth.depth_score(prediction.inv_depth), "defocus": truth.defocus_score(signed_px)},
                curves,
            )
        )
    return results


def weights(photos: Sequence[Measured]) -> NDArray[np.float64]:
    """Every location counts the same; the sum is 1."""
    counts = Counter((photo.kind, photo.location) for photo in photos)
    weight = np.array([1.0 / counts[photo.kind, photo.location] for photo in photos])
    return weight / weight.sum()


def confusion(photos: Sequence[Measured], quantity: str) -> dict[str, dict[str, float]]:
    """Share of all photos by class of the score and call."""
    photos = [photo for photo in photos if np.isfinite(photo.scores[quantity])]
    table: dict[str, dict[str, float]] = {name: {call: 0.0 for call in CALLS} for name in CLASSES}
    for photo, weight in zip(photos, weights(photos), strict=True):
        table[score_class(photo.scores[quantity])][photo.calls[quantity]] += float(weight)
    return table


def goals(table: Mapping[str, Mapping[str, float]]) -> tuple[float, float, float]:
    """Of those called good, the share that is; of the bad and of the good ones, the share called good."""
    called = sum(row["good"] for row in table.values())
    right = table["good"]["good"] / called if called else float("nan")
    bad, good = (table[name]["good"] / (sum(table[name].values()) or float("nan")) for name in ("bad", "good"))
    return right, bad, good


def mean_curve(photos: Sequence[Measured], quantity: str) -> tuple[float, float, float, float] | None:
    """AUSE, that of a constant, mean error, and the largest relative rise of the curve; mean over locations."""
    by_location: dict[str, list[Sparsification]] = defaultdict(list)
    for photo in photos:
        if quantity in photo.curves and photo.curves[quantity].error[0] > 0:
            by_location[photo.location].append(photo.curves[quantity])
    if not by_location:
        return None

    def mean(value: str) -> float:
        return float(np.mean([np.mean([getattr(curve, value) for curve in group]) for group in by_location.values()]))

    curve = np.mean(
        [np.mean([one.error / one.error[0] for one in group], axis=0) for group in by_location.values()], axis=0
    )[STEPS]
    error = float(np.mean([np.mean([curve.error[0] for curve in group]) for group in by_location.values()]))
    return mean("ause"), mean("constant"), error, float((curve[1:] / curve[:-1] - 1).max())


def run(settings: Settings) -> str:
    """The page."""
    model, name = settings.load()
    photos = measured(model, settings)
    lines = [
        "# Verdicts and expected errors\n",
        f"Model {name}; {len(photos)} photos of {len({photo.location for photo in photos})} dev locations, which were "
        "neither trained nor calibrated on: frames with real and rendered defocus, and all-in-focus photos. Every "
        "location counts the same. [What the verdicts mean](../verdict.md).\n",
        "| | goal | depth | defocus |",
        "|---|---|---|---|",
    ]
    tables = {quantity: confusion(photos, quantity) for quantity in QUANTITIES}
    reached = {quantity: goals(table) for quantity, table in tables.items()}
    for row, (what, goal) in enumerate(
        (
            (f"of photos called good: with a score of at least {GOOD_SCORE}", ">= 90 %"),
            (f"of photos with a score below {BAD_SCORE}: called good", "<= 5 %"),
            (f"of photos with a score of at least {GOOD_SCORE}: called good", ">= 60 %"),
        )
    ):
        lines.append(f"| {what} | {goal} | " + " | ".join(f"{reached[q][row]:.1%}" for q in QUANTITIES) + " |")
    for quantity, table in tables.items():
        lines += [f"\n## {quantity.capitalize()}: share of all photos\n", "| score | " + " | ".join(CALLS) + " | all |"]
        lines.append("|---" * (len(CALLS) + 2) + "|")
        for score, row_ in table.items():
            cells = [f"{row_[call]:.1%}" for call in CALLS] + [f"{sum(row_.values()):.1%}"]
            lines.append(f"| {score} | " + " | ".join(cells) + " |")
    lines += [
        "\n## By kind\n",
        "| kind | photos | depth score | called good | not trusted | defocus score | called good | not trusted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in sorted({photo.kind for photo in photos}):
        for sharp in (False, True):
            group = [photo for photo in photos if photo.kind == kind and photo.sharp == sharp]
            if group:
                lines.append(_kind_row(f"{kind}{', sharp' if sharp else ''}", group))
    lines += [
        "\n## How expected errors order the errors\n",
        "AUSE: area between the sparsification curve and the oracle's over the error of all pixels; 0 is perfect. "
        "Constant: the same for a constant. Rise: largest relative rise of the curve in a step of 10 %, to 80 % "
        "removed; negative if it falls everywhere. Depth by the confidence, defocus by its expected error.\n",
        "| kind | depth: AUSE | constant | rise | defocus: AUSE | constant | rise |",
        "|---|---|---|---|---|---|---|",
    ]
    means: dict[str, list[tuple[float, float]]] = {quantity: [] for quantity in QUANTITIES}
    for kind in sorted({photo.kind for photo in photos}):
        cells = []
        for quantity in QUANTITIES:
            found = mean_curve([photo for photo in photos if photo.kind == kind], quantity)
            cells += ["", "", ""] if found is None else [f"{found[0]:.2f}", f"{found[1]:.2f}", f"{found[3]:+.1%}"]
            means[quantity] += [] if found is None else [found[:2]]
        if any(cells):
            lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    cells = []
    for quantity in QUANTITIES:
        ause, constant = np.mean(means[quantity], axis=0) if means[quantity] else (np.nan, np.nan)
        cells += [f"{ause:.2f}", f"{constant:.2f}", ""]
    lines.append("| mean | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _kind_row(title: str, group: Sequence[Measured]) -> str:
    weight = weights(group)
    cells = [title, str(len(group))]
    for quantity in QUANTITIES:
        scores = np.array([photo.scores[quantity] for photo in group])
        known = np.isfinite(scores)
        if not known.any():
            cells += ["", "", ""]
            continue
        share = weight[known] / weight[known].sum()
        calls = np.array([photo.calls[quantity] for photo in group])[known]
        cells += [
            f"{share @ scores[known]:.2f}",
            *(f"{share @ (calls == call):.0%}" for call in ("good", "do_not_trust")),
        ]
    return "| " + " | ".join(cells) + " |"
