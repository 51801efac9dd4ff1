"""Calibrate the verdicts and the expected errors of a model on the calib places and photos.

    # once: labels of the calib photos, as scenes
    python -m research.verdict.label --photos ../shared/data/photos --out work/verdict/pseudo TEACHER@392x518
    mddnet build work/verdict -o work/verdict/scenes --split work/student/split.csv --only pseudo
    # for every model
    python -m research.verdict.fit --model src/mddnet/models/small --scenes work/student/scenes \\
        --split work/student/split.csv --photos work/verdict/scenes --cache work/verdict/cache

Writes the section ``calibration`` into the model's ``config.json``. The network's outputs are cached by the hash of the
graph; interrupt it at any time and run it again. Dev is never read.

A verdict is a linear regression of the log-odds of a photo's score (:class:`~research.verdict.cases.Truth`) on cues of
the photo, with a ridge. Its thresholds come from cross-validation over locations. The expected error of a cell is a
linear regression of the log error on cues of the cell within photos, and of its mean over a photo on the verdict. The
standard error of metric inverse depth is multiplied by the factor within which two thirds of the pixels are, on photos
with a known lens whose depth is given in metres: those whose stated error is so small that no metres are wrong.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from research.verdict.cases import LONG_SIDE, Case, Truth, find_cases
from research.verdict.outputs import outputs

from mddnet.data.split import read_split
from mddnet.io.atomic import atomic_write_text
from mddnet.metrics.alignment import fit_alignment
from mddnet.model.folder import CONFIG_FILE, GRAPH_FILE
from mddnet.predict.calibration import (
    BAD_SCORE,
    CAMERA_ERRORS,
    GOOD_SCORE,
    LEAST_METRIC_ERROR,
    SECTION,
    calibration_of,
)
from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.cues import cell_cues, photo_cues
from mddnet.predict.fusion import Fusion, FusionInput, fuse
from mddnet.predict.metric_scale import MetricErrors
from mddnet.predict.predictor import Model, load
from mddnet.types import Float32Array, Lens

Array = NDArray[np.float64]

DEPTH_CUES = (
    "half_size_order",
    "log_gain",
    "log_steepness",
    "depth_log_sigma",
    "network_sign_entropy",
    "log_blur",
    "blur_log_sigma_high",
)
DEFOCUS_CUES = ("law_misfit", "log_fused_sigma", "blur_log_sigma_high", "depth_log_sigma_high", "sign_entropy")
DEPTH_ERROR_CUES = (
    "depth_log_sigma",
    "log_fused_sigma",
    "blur_log_sigma",
    "log_blur",
    "from_middle",
    "from_middle_squared",
    "log_roughness",
    "log_shift",
    "log_half_size",
)
DEFOCUS_ERROR_CUES = ("log_blur", "blur_log_sigma", "log_misfit", "log_roughness")
LEAST_DEPTH_ERROR, LEAST_DEFOCUS_ERROR = 0.01, 0.25
"""Added to the errors before their logarithm: a share of the range of inverse depth, and px at 512."""
RIDGE, CELL_RIDGE = 15.0, 30.0
FOLDS = 10
PIXELS = 600
"""Pixels of a photo at which the errors are fitted."""
LOWEST_SCORE, HIGHEST_SCORE = 0.35, 0.98
"""Scores are limited to these before their log-odds."""
GOOD_PRECISION, BAD_CALLED_GOOD = 0.90, 0.05
"""On calib, of the photos called good so many are, and of the bad ones no more are called good."""
ONE_SIGMA = 0.683
"""Share of a normal distribution within its standard deviation."""
UNDOUBTED = MetricErrors(most=math.inf)
WRONG_METRES = 0.5
"""Metres are wrong above this median relative error; no photo with metres may be wrong."""
GOOD_NOT_TRUSTED = 0.03
"""On calib, of the good photos no more are not to be trusted."""


@dataclass(frozen=True)
class Metres:
    """Metric inverse depth of one photo with a known lens."""

    stated: float  # median relative error of inverse depth as the fusion states it
    true: float  # median relative error of the distance
    ratios: Float32Array  # (N,) errors over the stated standard errors


@dataclass(frozen=True)
class Row:
    """What is known of one calib photo."""

    kind: str
    location: str
    cues: dict[str, float]
    depth_score: float
    defocus_score: float
    cells: dict[str, Float32Array]  # (N,) cues at the sampled pixels
    depth_error: Float32Array | None  # (N,) share of the range
    defocus_error: Float32Array | None  # (N,) px at 512
    camera: tuple[float, float] = (math.nan, math.nan)  # errors of field of view and median depth, in stated ones
    metres: Metres | None = None  # None without a known lens, or where the sign is in doubt


def log_odds(score: Array) -> Array:
    limited = np.clip(score, LOWEST_SCORE, HIGHEST_SCORE)
    return np.asarray(np.log(limited / (1 - limited)))


def row_of(
    case: Case,
    truth: Truth,
    answers: FusionInput,
    half_depth: Float32Array,
    fused: Fusion,
    metres: Metres | None = None,
) -> Row:
    """Cues and errors of one photo; the verdict's own score is not known yet."""
    maps = fused.maps
    signed_px = np.copysign(maps.defocus_px, maps.sign)
    rng = np.random.default_rng(len(case.name))
    known = np.flatnonzero(np.isfinite(truth.inv_depth))
    cells, depth_error, defocus_error = {}, None, None
    if truth.signed_px is not None and len(known) > PIXELS and truth.range > 0:
        drawn = rng.choice(known, PIXELS, replace=False)
        row, column = np.divmod(drawn, truth.photo.shape[1])
        at = (row // answers.stride, column // answers.stride)
        cells = {name: values[at] for name, values in cell_cues(answers, fused, half_depth, 0.0).items()}
        u, true = maps.inv_depth.ravel(), truth.inv_depth.ravel()
        aligned = fit_alignment(u[known], true[known]).apply(u[drawn])
        depth_error = (np.abs(aligned - true[drawn]) / truth.range).astype(np.float32)
        error_px = np.abs(maps.defocus_px.ravel()[drawn] - np.abs(truth.signed_px.ravel()[drawn]))
        defocus_error = error_px * np.float32(LONG_SIDE / max(truth.photo.shape))
    return Row(
        case.kind, case.location, photo_cues(answers, fused, half_depth), truth.depth_score(maps.inv_depth),
        truth.defocus_score(signed_px), cells, depth_error, defocus_error, camera_ratios(answers.camera, truth.camera),
        metres,
    )  # fmt: skip


def one_sigma(values: Array, weight: Array) -> float:
    """The value that ONE_SIGMA of the weight does not exceed."""
    order = np.argsort(values)
    within = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][np.searchsorted(within, ONE_SIGMA)])


def metres_of(truth: Truth, answers: FusionInput, lens: Lens | None, cap_px: float) -> Metres | None:
    """Errors of metric inverse depth of a photo with a known lens, whatever the size of the stated error."""
    if lens is None:
        return None
    fused = fuse(answers, lens, cap_px, UNDOUBTED)
    known = np.flatnonzero(np.isfinite(truth.inv_depth) & (truth.inv_depth > 0))
    if fused.unit != "1/m" or fused.inv_depth_sigma is None or len(known) < PIXELS:
        return None
    drawn = np.random.default_rng(len(known)).choice(known, PIXELS, replace=False)
    u, sigma, true = fused.maps.inv_depth.ravel(), fused.inv_depth_sigma.ravel(), truth.inv_depth.ravel()[drawn]
    stated = float(np.median(sigma / np.maximum(u, 1e-6)))
    wrong = float(np.median(np.abs(true / np.maximum(u[drawn], 1e-6) - 1)))
    return Metres(stated, wrong, np.abs(u[drawn] - true) / sigma[drawn])


def metric_errors(rows: Sequence[Row]) -> MetricErrors:
    """The factor of the stated error that ONE_SIGMA of the pixels are within, and the largest error with metres.

    The latter is the middle between the first photo whose metres are wrong, in the order of stated errors, and the one
    before it.
    """
    metric = [(row, row.metres) for row in rows if row.metres is not None]
    metric.sort(key=lambda pair: pair[1].stated)
    if not metric:
        return MetricErrors()
    weight = weights_by_kind([row for row, _ in metric])
    right = next((n for n, (_, metres) in enumerate(metric) if metres.true > WRONG_METRES), len(metric))
    answered = metric[: max(right, 1)]
    most = float(np.mean([metres.stated for _, metres in metric[max(right - 1, 0) : right + 1]]))
    ratio = np.concatenate([metres.ratios for _, metres in answered])
    of_pixel = np.repeat(weight[: len(answered)], len(answered[0][1].ratios))
    factor = max(one_sigma(ratio, of_pixel), LEAST_METRIC_ERROR)
    print(f"metres: {len(answered)} of {len(metric)} photos with a known lens; errors times {factor:.2f}")
    return MetricErrors(rounded(factor), rounded(most * factor))


def camera_ratios(estimate: CameraEstimate | None, true: tuple[float, float]) -> tuple[float, float]:
    """Errors of the logarithms of the field of view and of the median depth as multiples of the stated ones."""
    if estimate is None:
        return math.nan, math.nan
    field, depth = true
    return (
        abs(math.log(estimate.tan_half_fov) - field) / estimate.tan_half_fov_error,
        abs(math.log(estimate.median_depth_m) - depth) / estimate.median_depth_error,
    )


def camera_factor(rows: Sequence[Row], ratios: Sequence[float]) -> float:
    """The factor of the stated error that ONE_SIGMA of the photos are within; every kind of capture counts the same."""
    used = [(row, ratio) for row, ratio in zip(rows, ratios, strict=True) if math.isfinite(ratio)]
    if not used:
        return 1.0
    weight = weights_by_kind([row for row, _ in used])
    ratio = np.array([ratio for _, ratio in used])
    return rounded(max(one_sigma(ratio, weight), 1.0))


def rows_of(model: Model, cases: Sequence[Case], cache: Path) -> Iterator[Row]:
    for number, (case, truth, answers, half_depth) in enumerate(outputs(model, cases, cache), start=1):
        fused = fuse(answers, Lens(), model.model_dir.defocus_cap_px)
        metres = metres_of(truth, answers, case.lens(truth.photo), model.model_dir.defocus_cap_px)
        yield row_of(case, truth, answers, half_depth, fused, metres)
        if number % 50 == 0 or number == len(cases):
            print(f"{number} of {len(cases)} photos", flush=True)


def weights_of(rows: Sequence[Row]) -> Array:
    """Every location counts the same; the mean is 1."""
    counts = Counter((row.kind, row.location) for row in rows)
    weight = np.array([1.0 / counts[row.kind, row.location] for row in rows])
    return weight / weight.mean()


def weights_by_kind(rows: Sequence[Row]) -> Array:
    """Every kind of capture counts the same, and every location of a kind; the mean is 1."""
    weight = weights_of(rows)
    of_kind: dict[str, float] = defaultdict(float)
    for row, share in zip(rows, weight, strict=True):
        of_kind[row.kind] += share
    weight = np.array([share / of_kind[row.kind] for row, share in zip(rows, weight, strict=True)])
    return np.asarray(weight / weight.mean())


def ridge(features: Array, target: Array, weight: Array, strength: float) -> Array:
    """Weights of the features as they are, and the constant; the ridge acts on standardised ones."""
    mean = np.average(features, axis=0, weights=weight)
    scale = np.sqrt(np.average(np.square(features - mean), axis=0, weights=weight)) + 1e-9
    x = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    penalty = np.diag(np.append(np.full(features.shape[1], strength), 1e-6))
    solution = np.linalg.solve((x * weight[:, None]).T @ x + penalty, x.T @ (weight * target))
    slopes = solution[:-1] / scale
    return np.append(slopes, solution[-1] - mean @ slopes)


def fold_of(rows: Sequence[Row]) -> NDArray[np.intp]:
    """All photos of a location are in one fold."""
    places = sorted({f"{row.kind}/{row.location}" for row in rows})
    order = np.random.default_rng(0).permutation(len(places))
    number = {place: int(order[index]) % FOLDS for index, place in enumerate(places)}
    return np.array([number[f"{row.kind}/{row.location}"] for row in rows])


def spread_of(estimated: Array, score: Array, weight: Array) -> float:
    """The scale of the logistic distribution of the error, with the most probable events good and bad."""

    def loss(spread: float) -> float:
        total = 0.0
        for limit in (GOOD_SCORE, BAD_SCORE):
            away = np.clip((estimated - np.log(limit / (1 - limit))) / spread, -30, 30)
            total += float((weight * np.logaddexp(0, np.where(score >= limit, -away, away))).sum())
        return total

    return min(np.geomspace(0.05, 3.0, 200).tolist(), key=loss)


def thresholds(probability: Array, score: Array, weight: Array) -> tuple[float, float]:
    """The least probability that is called good, and that below which nothing is to be trusted."""
    good, bad = score >= GOOD_SCORE, score < BAD_SCORE
    steps = np.round(np.linspace(0.02, 0.98, 97), 4)
    best, good_from = -1.0, float(steps[-1])
    for step in steps:
        called = probability >= step
        precision = (weight * (called & good)).sum() / max(float((weight * called).sum()), 1e-9)
        leak = (weight * (called & bad)).sum() / max(float((weight * bad).sum()), 1e-9)
        found = float((weight * (called & good)).sum())
        if precision >= GOOD_PRECISION and leak <= BAD_CALLED_GOOD and found > best:
            best, good_from = found, float(step)
    all_good = float((weight * good).sum())
    lost = [step for step in steps if (weight * (good & (probability < step))).sum() <= GOOD_NOT_TRUSTED * all_good]
    return good_from, min(float(max(lost, default=0.0)), good_from)


def rule_of(
    rows: Sequence[Row], scores: Array, cues: Sequence[str], what: str, weighting: Callable[[Sequence[Row]], Array]
) -> tuple[dict[str, Any], Array]:
    """The section of a verdict, and the cross-validated log-odds of the score of every row.

    ``weighting`` is that of the rows for the thresholds.
    """
    known = np.isfinite(scores)
    features = np.array([[row.cues[name] for name in cues] for row in rows])
    target, weight, fold = log_odds(np.where(known, scores, 0.5)), weights_of(rows), fold_of(rows)
    estimated = np.zeros(len(rows))
    for number in range(FOLDS):
        used, tested = known & (fold != number), fold == number
        solution = ridge(features[used], target[used], weight[used], RIDGE)
        estimated[tested] = features[tested] @ solution[:-1] + solution[-1]
    spread = spread_of(estimated[known], scores[known], weight[known])
    away = (estimated - np.log(GOOD_SCORE / (1 - GOOD_SCORE))) / spread
    probability = 1 / (1 + np.exp(-np.clip(away, -30, 30)))
    counted = weighting([row for row, is_known in zip(rows, known, strict=True) if is_known])
    good_from, not_below = thresholds(probability[known], scores[known], counted)
    solution = ridge(features[known], target[known], weight[known], RIDGE)
    middle = np.average(target[known], weights=weight[known])
    left, whole = (np.average(np.square(target - by)[known], weights=weight[known]) for by in (estimated, middle))
    called = probability[known] >= good_from
    good, w = scores[known] >= GOOD_SCORE, weight[known]
    print(
        f"{what}: R2 {1 - left / whole:.2f}; of the photos called good "
        f"{(w * (called & good)).sum() / max((w * called).sum(), 1e-9):.2f} are; of the good ones "
        f"{(w * (called & good)).sum() / (w * good).sum():.2f} are called so (calib, cross-validated)"
    )
    section = {
        "score": linear(cues, solution),
        "spread": rounded(spread),
        "good_from": good_from,
        "do_not_trust_below": not_below,
    }
    return section, estimated


def error_of(
    rows: Sequence[Row], errors: Sequence[Float32Array | None], photo_score: Array, cues: Sequence[str], least: float
) -> dict[str, Any]:
    """The section of an expected error."""
    weights, inside, outside, targets, means = weights_of(rows), [], [], [], []
    used = [index for index, error in enumerate(errors) if error is not None]
    for index in used:
        features = np.column_stack([rows[index].cells[name] for name in cues]).astype(np.float64)
        target = np.log(np.asarray(errors[index], dtype=np.float64) + least)
        inside.append(features - features.mean(axis=0))
        targets.append(target - target.mean())
        outside.append(features.mean(axis=0))
        means.append(target.mean())
    cell_weight = np.repeat(weights[used], [len(target) for target in targets])
    slopes = ridge(np.concatenate(inside), np.concatenate(targets), cell_weight, CELL_RIDGE)[:-1]
    rest = np.array(means) - np.array(outside) @ slopes
    level = ridge(photo_score[used][:, None], rest, weights[used], 1.0)
    solution = np.append(np.append(slopes, level[0]), level[1])
    expected, real = 0.0, 0.0
    for weight, index, features, middle in zip(weights[used], used, inside, outside, strict=True):
        log_error = (features + middle) @ slopes + level[0] * photo_score[index] + level[1]
        expected += weight * float(np.exp(log_error).mean())
        real += weight * float(np.mean(np.asarray(errors[index])))
    solution[-1] += np.log(real / expected)  # the mean error, not that of its logarithm
    return linear((*cues, "photo"), solution)


def linear(cues: Sequence[str], solution: Array) -> dict[str, Any]:
    weights = {name: rounded(value) for name, value in zip(cues, solution[:-1], strict=True)}
    return {"constant": rounded(solution[-1]), "weights": weights}


def rounded(value: float) -> float:
    return float(f"{float(value):.5g}")


def calibrate(rows: Sequence[Row]) -> dict[str, Any]:
    """The section ``calibration``."""
    depth, photo_score = rule_of(
        rows, np.array([row.depth_score for row in rows]), DEPTH_CUES, "depth", weights_by_kind
    )
    # by kind, the few real captures would leave no defocus that is called good
    defocus, _ = rule_of(rows, np.array([row.defocus_score for row in rows]), DEFOCUS_CUES, "defocus", weights_of)
    depth_errors, defocus_errors = ([getattr(row, name) for row in rows] for name in ("depth_error", "defocus_error"))
    return {
        "verdict": {"depth": depth, "defocus": defocus},
        "expected_error": {
            "inv_depth": error_of(rows, depth_errors, photo_score, DEPTH_ERROR_CUES, LEAST_DEPTH_ERROR),
            "defocus": error_of(rows, defocus_errors, photo_score, DEFOCUS_ERROR_CUES, LEAST_DEFOCUS_ERROR),
        },
        "camera_error": {
            name: camera_factor(rows, [row.camera[index] for row in rows]) for index, name in enumerate(CAMERA_ERRORS)
        },
        "metres": asdict(metric_errors(rows)),
    }


def uncalibrated(folder: Path, config: dict[str, Any]) -> Model:
    """The model of a folder with another configuration; the folder stays as it is."""
    with TemporaryDirectory() as name:
        (Path(name) / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
        (Path(name) / GRAPH_FILE).symlink_to((folder / GRAPH_FILE).resolve())
        return load(name, threads=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Calibrate the verdicts and expected errors of a model.")
    parser.add_argument("--model", type=Path, required=True, help="model folder; its config.json is changed")
    parser.add_argument("--scenes", type=Path, required=True, help="built scenes of all places")
    parser.add_argument("--split", type=Path, required=True, help="split with the calib places")
    parser.add_argument("--photos", type=Path, help="built scenes of the labelled calib photos")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the network's outputs")
    args = parser.parse_args()
    path = args.model / CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop(SECTION, None)  # of another network, perhaps, or of an earlier form
    model = uncalibrated(args.model, config)
    cases = find_cases(args.scenes, read_split(args.split), "calib", args.photos)
    section = calibrate(list(rows_of(model, cases, args.cache)))
    config[SECTION] = section
    calibration_of(config, path)  # that prediction takes it
    atomic_write_text(path, json.dumps(config, indent=1) + "\n")
    print(f"{path}: calibrated on {len(cases)} photos of {len({case.location for case in cases})} locations")


if __name__ == "__main__":
    main()
