"""``mddnet predict --ray``: what each machine does with an input, and what is done before it is handed out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mddnet.predict.output import SaveFormat
    from mddnet.predict.predictor import Model
    from mddnet.types import Lens


@dataclass(frozen=True, slots=True)
class ClusterJob:
    """How all inputs are predicted; every path is absolute.

    Attributes:
        model: as ``mddnet.load`` takes it.
        out: folder for the results.
        lens: facts that replace those of the photos.
        linear: whether the samples are linear light.
        max_pixels: larger photos are refused; None is the usual limit.
        fine: whether to look a second time.
        resume: whether to leave out what is done.
        formats: what to write.
        threads: processor cores for one input.
    """

    model: str
    out: Path
    lens: Lens
    linear: bool
    max_pixels: int | None
    fine: bool
    resume: bool
    formats: tuple[SaveFormat, ...]
    threads: int


@dataclass(frozen=True, slots=True)
class ClusterLine:
    """What became of a photo, or of a frame of a video.

    Attributes:
        path: the input.
        text: a line for people.
        facts: its facts file, or None where it failed.
    """

    path: Path
    text: str
    facts: Path | None


def predict_on_cluster(address: str, job: ClusterJob, photos: Sequence[Path]) -> Generator[list[ClusterLine]]:
    """Predict inputs on a Ray cluster, each by one call.

    Names of results do not depend on which machine is faster: inputs of one name get their numbers here, in order.

    Args:
        address: of the cluster.
        job: how.
        photos: the inputs, absolute.

    Yields:
        What became of an input, in the order in which they are done.
    """
    from mddnet.cluster import on_ray
    from mddnet.io.part_file import remove_abandoned
    from mddnet.photo.video import is_video
    from mddnet.predict.output import claim_stem

    job.out.mkdir(parents=True, exist_ok=True)
    remove_abandoned(job.out)
    counts = Counter(path.stem for path in photos)
    for path in photos:
        if counts[path.stem] > 1 and not is_video(path):
            claim_stem(job.out, path)
    folders = {job.out, *(path.parent for path in photos[:1])}
    calls = ((job, path) for path in photos)
    yield from on_ray(address, predict_input, calls, _lost, folders, cores=job.threads)
    remove_abandoned(job.out)  # of machines that died meanwhile


def predict_input(call: tuple[ClusterJob, Path]) -> list[ClusterLine]:
    """Predict one input: a photo, or all frames of a video until one fails."""
    from mddnet.cli.predict import _done_before, _items, _named, summary
    from mddnet.errors import MddnetError
    from mddnet.predict.output import save

    job, path = call
    lines: list[ClusterLine] = []
    try:
        predictor = _predictor(job.model, job.threads)
        for item in _items(path, job.lens, job.linear, job.max_pixels, predictor):
            if job.resume:
                facts = _done_before(path, item.stem, job.out, predictor.model_dir, job.lens, job.formats, job.fine)
                if facts is not None:
                    lines.append(ClusterLine(path, f"{item.name}: done before", facts))
                    continue
            prediction = predictor.predict_compact(item.read(), fine=job.fine)
            fixed_range = item.ranges.of(prediction) if item.ranges is not None else None
            files = save(prediction, job.out, item.stem, job.formats, fixed_range)
            lines.append(ClusterLine(path, summary(item.name, prediction, files), files["facts"]))
    except (MddnetError, MemoryError) as error:
        lines.append(ClusterLine(path, _named(path, error), None))
    return lines


@lru_cache(maxsize=1)
def _predictor(model: str, threads: int) -> Model:
    """The model, opened once in each worker."""
    from mddnet.predict.predictor import load

    return load(model, threads)


def _lost(call: tuple[ClusterJob, Path], reason: str) -> list[ClusterLine]:
    return [ClusterLine(call[1], f"{call[1]}: {reason}", None)]
