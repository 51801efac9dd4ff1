"""The evaluation: one loop over the samples of all sources and over all methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mddnet.errors import MddnetError
from mddnet.evaluate.cases import CaseKeeper, case_pictures
from mddnet.evaluate.datasets import CapChoice, CropChoice, Dataset, dataset_source
from mddnet.evaluate.discs import disc_source, points_of, shape_slopes, shape_source, slopes
from mddnet.evaluate.methods import (
    BLUR_QUANTITIES,
    DEPTH_QUANTITIES,
    Method,
    Predictor,
    PredictorMethod,
    checked_infer,
    rotated_infer,
    stated_quantities,
)
from mddnet.evaluate.pairs import pair_source
from mddnet.evaluate.reliability import ReliabilityCounts
from mddnet.evaluate.result import Evaluation, MethodResult, PhotoCurves, PhotoRow, SourceResult, SpeedResult
from mddnet.evaluate.samples import Options, Sample, Source
from mddnet.evaluate.scenes import MEASURED_KINDS, SceneChoice, choose_scenes, one_per_location, scene_source
from mddnet.metrics import Answer, Comparison, Truth, measure
from mddnet.metrics.sparsification import ERRORS

PARTS = (*MEASURED_KINDS, "pairs", "coc_slope", "psf_shapes")
"""What an evaluation of captures consists of, and what ``only`` may name."""
NETWORK_SIZE = (384, 512)
"""Height and width of the photo at which speed is measured."""
_SPEED_RUNS = 20

OnProgress = Callable[[int, int, str], None]
"""Called with the photos done, all photos, and what is next."""


# --- what is measured -------------------------------------------------------------------------------------------------


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

    Order and sign are measured at pixels that are textured in the sharp image and whose depth is known and trusted
    (confidence above ``scenes.CONFIDENCE_MIN``); sizes of the CoC at all known and trusted pixels.

    Args:
        model: anything with ``predict``.
        scenes_root: folder of built scenes; None leaves all kinds of scenes and the slope out.
        data_root: folder with ``split.csv`` and ``pairs``; None leaves the pairs out and needs ``split_of``.
        split: ``"dev"`` or ``"train"``.
        only: the parts to measure, of :data:`PARTS`.
        name: name of the model in the tables.
        split_of: split by location, instead of ``split.csv``.
        options: the choices that the numbers depend on.
        baselines: other methods to measure on the same photos.
        speed: whether to time the network, too.
        on_progress: called before each photo.

    Returns:
        The evaluation. A scene or pair that cannot be read is listed in ``failures``, the others are measured.

    Raises:
        ValueError: for an unknown part.
        ModelError: for two methods of one name.
        CaptureError: if there are no scenes or no pairs where they are wanted.
    """
    options = options or Options()
    unknown = [part for part in only if part not in PARTS]
    if unknown:
        raise ValueError(f"unknown part {unknown[0]!r}; expected some of {', '.join(PARTS)}")
    choice = _choose(scenes_root, data_root, split, only, split_of, options)
    sources = []
    for kind in MEASURED_KINDS if scenes_root is not None else ():
        if kind in only:
            sources.append(scene_source(kind, [scene for scene in choice.scenes if scene.kind == kind], options))
    if "pairs" in only and data_root is not None:
        sources.append(pair_source(data_root / "pairs"))
    sharp = one_per_location(choice.scenes)
    sources += [make(sharp, options) for part, make in _DISCS.items() if part in only and sharp]
    frames = options.frames_per_scene or {kind: record.frames_measured for kind, record in MEASURED_KINDS.items()}
    evaluation = Evaluation(
        name,
        split,
        {
            "seed": options.seed,
            "pairs_per_photo": options.pairs_per_photo,
            "frames_per_scene": frames,
            "scenes_per_location": options.scenes_per_location,
            "only": list(only),
            "alignment": options.alignment.words(),
            "blur_threshold_px": options.blur_threshold_px,
        },
        locations_without_split=choice.locations_without_split,
        failures=list(choice.failures),
    )
    methods = [PredictorMethod(model, name), *baselines]
    return _run(evaluation, methods, sources, options, model if speed else None, on_progress)


_DISCS = {"coc_slope": disc_source, "psf_shapes": shape_source}


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
    """Measure a model on a public data set. Numbers are means over photos, each photo at all pixels that count.

    Args:
        model: anything with ``predict``.
        dataset: one of :data:`mddnet.evaluate.datasets.DATASETS`.
        root: the folder that holds its files.
        name: name of the model in the tables.
        limit: most photos, spread evenly over the set; None for all.
        crop: ``"published"``, the one that the set's users apply, or ``"none"``.
        cap_m: largest depth that counts, metres; ``"published"`` or ``"none"``.
        checksums: compare files whose MD5 is known, first; one that differs is a failure.
        options: the choices that the numbers depend on.
        baselines: other methods to measure on the same photos.
        on_progress: called before each photo.

    Returns:
        The evaluation, one kind of the set's name. A photo that cannot be read or has no pixel that counts is listed in
        ``failures``, the others are measured.

    Raises:
        CaptureError: if files that every photo needs are missing.
        ModelError: for two methods of one name.
        ValueError: for a limit, crop or cap that is impossible.
    """
    options = options or Options()
    protocol = dataset.chosen_protocol(crop, cap_m)
    source, listed, failures = dataset_source(dataset, root, protocol, options, limit)
    if checksums:
        failures += dataset.wrong_checksums(root)
    evaluation = Evaluation(
        name,
        "test",
        {
            "dataset": dataset.name,
            "photos": f"{len(source.samples)} of {listed}",
            "mask": protocol.mask,
            "crop": protocol.crop_words(),
            "cap": protocol.cap_words(),
            "alignment": options.alignment.words(),
            "blur_threshold_px": options.blur_threshold_px,
            "pairs_per_photo": options.pairs_per_photo,
            "seed": options.seed,
            "layout_unverified": dataset.unverified,
        },
        failures=failures,
    )
    return _run(evaluation, [PredictorMethod(model, name), *baselines], [source], options, None, on_progress)


def _choose(
    scenes_root: Path | None,
    data_root: Path | None,
    split: str,
    only: Sequence[str],
    split_of: Mapping[str, str] | None,
    options: Options,
) -> SceneChoice:
    every = bool(set(_DISCS) & set(only))
    kinds = tuple(kind for kind in MEASURED_KINDS if every or kind in only)
    if scenes_root is None or not kinds:
        return SceneChoice((), (), ())
    if split_of is None:
        if data_root is None:
            raise ValueError("neither data_root (with split.csv) nor split_of is given; expected one of them")
        from mddnet.data.split import read_split

        split_of = read_split(data_root / "split.csv")
    return choose_scenes(scenes_root, split_of, split, kinds, options.scenes_per_location)


# --- the loop ---------------------------------------------------------------------------------------------------------


def _run(
    evaluation: Evaluation,
    methods: Sequence[Method],
    sources: Sequence[Source],
    options: Options,
    timed: Predictor | None,
    on_progress: OnProgress | None,
) -> Evaluation:
    """Measure every method on every sample, and fill the evaluation."""
    started = time.monotonic()
    stated = stated_quantities(methods)
    evaluation.baselines = dict(list(stated.items())[1:])
    total = sum(len(source.samples) for source in sources)
    done = 0
    for source in sources:
        run = _SourceRun(source, methods if source.all_methods else methods[:1], options, evaluation.failures)
        for sample in source.samples:
            if on_progress is not None:
                on_progress(done, total, f"{sample.scene} {sample.file}")
            run.measure(sample)
            done += 1
        _keep(evaluation, source, run)
    if timed is not None:
        evaluation.speed = measure_speed(timed)
    if on_progress is not None:
        on_progress(total, total, "done")
    evaluation.seconds = time.monotonic() - started
    return evaluation


def _keep(evaluation: Evaluation, source: Source, run: _SourceRun) -> None:
    rows = next(iter(run.results.values())).frames
    if source.name == "coc_slope":
        evaluation.coc_slope = slopes([points_of(row.scene, row.measures) for row in rows])
    elif source.name == "psf_shapes":
        points: dict[Any, list[Any]] = {}
        for row in rows:
            points.setdefault(row.location, []).append(points_of(row.scene, row.measures))
        evaluation.psf_shapes = shape_slopes(points)
    else:
        evaluation.kinds[source.name] = run.result()


@dataclass(slots=True)
class _SourceRun:
    """Measures the samples of one source, one after another."""

    source: Source
    methods: Sequence[Method]
    options: Options
    failures: list[tuple[str, str]]
    results: dict[str, MethodResult] = field(init=False)
    curves: dict[str, list[PhotoCurves]] = field(init=False)
    counts: dict[str, ReliabilityCounts] = field(init=False)
    cases: CaseKeeper = field(default_factory=CaseKeeper)
    failed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        names = [method.name for method in self.methods]
        self.results = {name: MethodResult() for name in names}
        self.curves = {name: [] for name in names}
        self.counts = {name: ReliabilityCounts() for name in names}

    def measure(self, sample: Sample) -> None:
        """Measure all methods on a sample; what cannot be read is named, and the rest of its unit left out."""
        if sample.unit in self.failed:
            return
        try:
            truth = sample.load()
            if truth is None:
                return
            answers = dict(self._answers(sample, truth))
        except MddnetError as error:
            self.failed.add(sample.unit)
            self.failures.append((sample.unit, str(error)))
            return
        for name, (answer, rotated) in answers.items():
            self._compare(name, sample, Comparison(truth, answer, rotated, *self._choices))
        rows = self.results[self.methods[0].name].frames
        if rows and rows[-1].file == sample.file and truth.textured is None and truth.near_far_pairs is None:
            maps = {name: answer for name, (answer, _) in answers.items()}
            label = sample.scene if sample.scene == sample.file else f"{sample.scene} {sample.file}"
            self.cases.offer(label, sample.location, rows[-1].measures, lambda: case_pictures(truth, maps))

    @property
    def _choices(self) -> tuple[Any, ...]:
        return self.options.alignment, self.options.blur_threshold_px

    def _answers(self, sample: Sample, truth: Truth) -> Iterator[tuple[str, tuple[Answer, Answer | None]]]:
        """Answers of all methods that state what is known here; a baseline that fails is named and left out."""
        for method in self.methods:
            states_depth = truth.states_depth() and bool(set(method.quantities) & set(DEPTH_QUANTITIES))
            if not states_depth and not (truth.states_blur() and set(method.quantities) & set(BLUR_QUANTITIES)):
                continue
            try:
                answer = _infer(method, truth)
                yield method.name, (answer, rotated_infer(method, truth.photo) if states_depth else None)
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
        if curves:
            self.curves[name].append(PhotoCurves(sample.scene, sample.location, curves))
        truth, answer, counts = comparison.truth, comparison.answer, self.counts[name]
        if truth.defocus_there is not None and answer.defocus_px is not None:
            counts.add_coc(answer.defocus_px.ravel()[truth.drawn_defocus], truth.defocus_there)
        if answer.confidence is not None and len(truth.drawn_depth):
            there = answer.confidence.ravel()[truth.drawn_depth]
            counts.add_confidence(there, comparison.coc_errors_px, comparison.inv_depth_errors)

    def result(self) -> SourceResult:
        """Everything, with its means."""
        for name, result in self.results.items():
            result.summarise(self.source.averaged, self.curves[name])
            result.reliability = self.counts[name].result()
        return SourceResult(
            self.source.title,
            self.source.averaged,
            self.results,
            self.source.photos_without_blur,
            self.source.photos_without_true_defocus,
            self.cases.worst_and_best(),
        )


def _infer(method: Method, truth: Truth) -> Answer:
    """The answer to a photo; of two stacked ones, both answers stacked."""
    if truth.near_far_pairs is None:
        return checked_infer(method, truth.photo)
    first, second = (checked_infer(method, photo) for photo in np.split(truth.photo, 2))
    if first.defocus_px is not None and second.defocus_px is not None:
        return Answer(defocus_px=np.concatenate([first.defocus_px, second.defocus_px]))
    assert first.blur_score is not None and second.blur_score is not None
    score = np.concatenate([first.blur_score, second.blur_score])
    return Answer(blur_score=score, blur_threshold=first.blur_threshold)


def measure_speed(model: Any, runs: int = _SPEED_RUNS) -> SpeedResult:
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
