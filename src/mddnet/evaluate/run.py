"""The evaluation: a loop over the samples of all sources and over all methods."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mddnet.data.split import read_split
from mddnet.errors import MddnetError, ModelError
from mddnet.evaluate.cases import CaseKeeper, case_pictures
from mddnet.evaluate.datasets.record import CapChoice, CropChoice, Dataset, dataset_source
from mddnet.evaluate.discs import BLURS, SlopePoint, disc_source, shape_slopes, slopes
from mddnet.evaluate.methods import Method, Predictor, PredictorMethod, can_estimate, checked_infer, rotated_infer
from mddnet.evaluate.pairs import pair_source
from mddnet.evaluate.result import (
    Curves,
    Evaluation,
    MethodResult,
    PhotoRow,
    ReliabilityCounts,
    SourceResult,
    SpeedResult,
)
from mddnet.evaluate.samples import Options, Sample, Source
from mddnet.evaluate.scenes import MEASURED_KINDS, SceneChoice, choose_scenes, one_per_location, scene_source
from mddnet.metrics import Comparison, Estimate, Truth, measure
from mddnet.metrics.sparsification import ERRORS

PARTS = (*MEASURED_KINDS, "pairs", *BLURS)  # parts of an evaluation of captures

OnProgress = Callable[[int, int, str], None]  # photos done, all photos, and the name of the next one


def evaluate_model(
    model: Predictor,
    scenes_root: Path | None,
    data_root: Path | None,
    split: str = "dev",
    only: Sequence[str] = PARTS,
    *,
    name: str = "model",
    split_of: Mapping[str, str] | None = None,
    options: Options | None = None,
    baselines: Sequence[Method] = (),
    speed: bool = False,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Measure a model on one split of the captures.

    Ordinal accuracy and sign are measured at pixels that are textured in the sharp image and whose depth is known with
    a confidence above ``scenes.CONFIDENCE_MIN``; the size of the CoC at all known pixels with such a confidence.

    Args:
        model: a model with ``predict``.
        scenes_root: folder of built scenes; None skips all parts that need scenes.
        data_root: folder with ``split.csv`` and ``pairs``; None skips the pairs and requires ``split_of``.
        split: ``"dev"`` or ``"train"``.
        only: the parts to measure, of :data:`PARTS`; ValueError for an unknown one.
        name: name of the model in the tables.
        split_of: split by location, instead of ``split.csv``.
        options: options of the evaluation.
        baselines: other methods to measure on the same photos; ModelError for two methods with one name.
        speed: whether to time the network.
        on_progress: called before each photo.

    Returns:
        The evaluation, with unreadable scenes and pairs in ``failures``; CaptureError if a folder has none at all.
    """
    options = options or Options()
    unknown = [part for part in only if part not in PARTS]
    if unknown:
        raise ValueError(f"unknown part {unknown[0]!r}; expected some of {', '.join(PARTS)}")
    kinds = tuple(kind for kind in MEASURED_KINDS if kind in only or set(BLURS) & set(only))
    choice = SceneChoice((), (), ())
    if scenes_root is not None and kinds:
        if split_of is None:
            if data_root is None:
                raise ValueError("neither data_root (with split.csv) nor split_of is given; expected one of them")
            split_of = read_split(data_root / "split.csv")
        choice = choose_scenes(scenes_root, split_of, split, kinds, options.scenes_per_location)
    sources = [
        scene_source(kind, [scene for scene in choice.scenes if scene.group == kind], options)
        for kind in MEASURED_KINDS
        if kind in only and scenes_root is not None
    ]
    if "pairs" in only and data_root is not None:
        sources.append(pair_source(data_root / "pairs"))
    sharp = one_per_location(choice.scenes)
    sources += [disc_source(part, sharp, options) for part in BLURS if part in only and sharp]
    frames = options.frames_per_scene or {kind: record.frames_measured for kind, record in MEASURED_KINDS.items()}
    stated = {
        "seed": options.seed,
        "pairs_per_photo": options.pairs_per_photo,
        "frames_per_scene": frames,
        "scenes_per_location": options.scenes_per_location,
        "only": list(only),
        "alignment": options.alignment.description(),
        "blur_threshold_px": options.blur_threshold_px,
    }
    evaluation = Evaluation(name, split, stated, locations_without_split=choice.locations_without_split)
    evaluation.failures += choice.failures
    methods = [PredictorMethod(model, name), *baselines]
    return _run(evaluation, methods, sources, options, model if speed else None, on_progress)


def evaluate_dataset(
    model: Predictor,
    dataset: Dataset,
    root: Path,
    *,
    name: str = "model",
    limit: int | None = None,
    crop: CropChoice = "published",
    cap_m: CapChoice = "published",
    checksums: bool = False,
    options: Options | None = None,
    baselines: Sequence[Method] = (),
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Measure a model on a public data set. Numbers are means over photos, of all evaluated pixels of each.

    The other arguments are those of :func:`evaluate_model`.

    Args:
        model: a model with ``predict``.
        dataset: one of :data:`mddnet.evaluate.datasets.DATASETS`.
        root: the folder of its files; CaptureError if required ones are missing.
        limit: largest number of photos, spread evenly over the data set; None for all.
        crop: ``"published"`` for the crop that is usual for the data set, or ``"none"``.
        cap_m: largest evaluated depth, metres; ``"published"`` or ``"none"``.
        checksums: whether to verify files whose MD5 is known; a difference is listed in ``failures``.

    Returns:
        The evaluation, with one kind, named like the data set. Photos that cannot be read or have no evaluated pixel
        are listed in ``failures``.
    """
    options = options or Options()
    protocol = dataset.chosen_protocol(crop, cap_m)
    source, listed, failures = dataset_source(dataset, root, protocol, options, limit)
    stated = {
        "dataset": dataset.name,
        "photos": f"{len(source.samples)} of {listed}",
        "mask": protocol.mask,
        "crop": protocol.crop_text(),
        "cap": protocol.cap_text(),
        "alignment": options.alignment.description(),
        "blur_threshold_px": options.blur_threshold_px,
        "pairs_per_photo": options.pairs_per_photo,
        "seed": options.seed,
        "layout_unverified": bool(dataset.unverified),
    }
    failures += dataset.wrong_checksums(root) if checksums else []
    evaluation = Evaluation(name, "test", stated, failures=failures)
    return _run(evaluation, [PredictorMethod(model, name), *baselines], [source], options, None, on_progress)


def _run(
    evaluation: Evaluation,
    methods: Sequence[Method],
    sources: Sequence[Source],
    options: Options,
    timed: Predictor | None,
    on_progress: OnProgress | None,
) -> Evaluation:
    started = time.monotonic()
    progress = on_progress or (lambda done, total, what: None)
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise ModelError(f"methods {', '.join(names)}; expected different names")
    evaluation.baselines = {method.name: tuple(method.quantities) for method in methods[1:]}
    total = sum(len(source.samples) for source in sources)
    done = 0
    for source in sources:
        run = _SourceRun(source, methods if source.all_methods else methods[:1], options, evaluation.failures)
        for sample in source.samples:
            progress(done, total, f"{sample.scene} {sample.file}")
            run.measure(sample)
            done += 1
        if source.name == "coc_slope":
            evaluation.coc_slope = slopes([point for points in run.slope_points().values() for point in points])
        elif source.name == "psf_shapes":
            evaluation.psf_shapes = shape_slopes(run.slope_points())
        else:
            evaluation.kinds[source.name] = run.result()
    if timed is not None:
        evaluation.speed = measure_speed(timed)
    progress(total, total, "done")
    evaluation.seconds = time.monotonic() - started
    return evaluation


@dataclass(slots=True)
class _SourceRun:
    """Measures the samples of one source."""

    source: Source
    methods: Sequence[Method]
    options: Options
    failures: list[tuple[str, str]]
    results: dict[str, MethodResult] = field(default_factory=dict)
    curves: defaultdict[str, list[Curves]] = field(default_factory=lambda: defaultdict(list))
    counts: defaultdict[str, ReliabilityCounts] = field(default_factory=lambda: defaultdict(ReliabilityCounts))
    cases: CaseKeeper = field(default_factory=CaseKeeper)
    failed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.results |= {method.name: MethodResult() for method in self.methods}

    def measure(self, sample: Sample) -> None:
        """Measure all methods on a sample; if it cannot be read, record the failure and skip the rest of its unit."""
        if sample.unit in self.failed:
            return
        try:
            truth = sample.load()
            if truth is None:
                return
            estimates = dict(self._estimates(sample, truth))
        except MddnetError as error:
            self.failed.add(sample.unit)
            self.failures.append((sample.unit, str(error)))
            return
        settings = self.options.alignment, self.options.blur_threshold_px
        for name, (estimate, rotated) in estimates.items():
            self._compare(name, sample, Comparison(truth, estimate, rotated, *settings))
        rows = self.results[self.methods[0].name].frames
        if rows and rows[-1].file == sample.file and truth.textured is None and truth.near_far_pairs is None:
            maps = {name: estimate for name, (estimate, _) in estimates.items()}
            label = sample.scene if sample.scene == sample.file else f"{sample.scene} {sample.file}"
            self.cases.offer(label, sample.location, rows[-1].measures, lambda: case_pictures(truth, maps))

    def _estimates(self, sample: Sample, truth: Truth) -> Iterator[tuple[str, tuple[Estimate, Estimate | None]]]:
        """Estimates of all methods with a quantity that is known here; a failure of a baseline is only recorded."""
        for method in self.methods:
            has_depth = truth.has_depth() and can_estimate(method, "depth")
            if not has_depth and not (truth.has_blur() and can_estimate(method, "blur")):
                continue
            try:
                estimate = _infer(method, truth)
                yield method.name, (estimate, rotated_infer(method, truth.photo) if has_depth else None)
            except MddnetError as error:
                if method is self.methods[0]:
                    raise
                self.failures.append((f"{method.name} on {sample.unit}, {sample.file}", str(error)))

    def _compare(self, name: str, sample: Sample, comparison: Comparison) -> None:
        measures = measure(comparison, references=name == self.methods[0].name)
        if not measures:
            return
        row = PhotoRow(sample.scene, sample.location, sample.file, {**sample.labels, **measures})
        self.results[name].frames.append(row)
        curves = {error: curve for error in ERRORS if (curve := getattr(comparison, f"{error}_curve")) is not None}
        self.curves[name].append((row, curves))
        truth, estimate, counts = comparison.truth, comparison.estimate, self.counts[name]
        if truth.sampled_defocus_px is not None and estimate.defocus_px is not None:
            counts.add_coc(estimate.defocus_px.ravel()[truth.defocus_indices], truth.sampled_defocus_px)
        if estimate.confidence is not None and len(truth.depth_indices):
            confidence = estimate.confidence.ravel()[truth.depth_indices]
            counts.add_confidence(confidence, comparison.coc_errors_px, comparison.inv_depth_errors)

    def slope_points(self) -> dict[str, list[SlopePoint]]:
        """The model's estimates for blur of known size, by its shape."""
        points: dict[str, list[SlopePoint]] = {}
        for row in self.results[self.methods[0].name].frames:
            size, true_px, found_px = (row.measures[key] for key in ("long_side_px", "true_px", "coc_median_px"))
            points.setdefault(row.location, []).append(SlopePoint(row.scene, int(size), true_px, found_px))
        return points

    def result(self) -> SourceResult:
        for name, result in self.results.items():
            result.summarise(self.source.averaged, self.curves[name])
            result.reliability = self.counts[name].result()
        return SourceResult(self.source, self.results, self.cases.worst_and_best())


def _infer(method: Method, truth: Truth) -> Estimate:
    """The estimate for a photo; for two stacked photos, both estimates stacked."""
    if truth.near_far_pairs is None:
        return checked_infer(method, truth.photo)
    first, second = (checked_infer(method, photo) for photo in np.split(truth.photo, 2))
    name = "blur_score" if first.defocus_px is None else "defocus_px"
    stacked: Any = np.concatenate([getattr(first, name), getattr(second, name)])
    return Estimate(**{name: stacked}, blur_threshold=first.blur_threshold)


def measure_speed(model: Any, runs: int = 20) -> SpeedResult:
    """Median time of ``model.network_maps``, or of ``predict`` without it, at 384 x 512, after three warm-up runs."""
    height, width = 384, 512
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
