"""Batches from a stream of shards: the same crops as from scenes, every sample once per epoch.

Batch n of a process depends on the seed, the numbers of processes and workers, and n alone, so that a resumed run
continues with the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mddnet.config import DataConfig
from mddnet.data.batch import Batch
from mddnet.data.loader import crop_of_batch, one_opencv_thread, sample, stacked
from mddnet.data.scene_pool import truth_of
from mddnet.data.shard_stream import Lane, RawSample, raw_stream
from mddnet.errors import CaptureError
from mddnet.scenes.shard_source import Shard
from mddnet.scenes.shards import EncodedSample, check_one_size
from mddnet.types import FrameRecord, SceneRecord, UInt8Array


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """The batches of one worker: every ``workers``-th from ``first`` on."""

    first: int
    workers: int
    lane: Lane
    made: int  # earlier batches of this lane


def share_of(worker: int, workers: int, first: int, rank: int, ranks: int) -> WorkerShare:
    """Distribute the batches from ``first`` on, so that lane k of process ``rank`` makes batches k, k + workers, ...

    The loader takes a batch from each worker in turn, starting with worker 0.
    """
    start = first + worker
    number = start % workers
    return WorkerShare(start, workers, Lane(rank * workers + number, ranks * workers), (start - number) // workers)


@dataclass(eq=False)
class ShardBatches(IterableDataset[Batch]):
    """The batches of process ``rank`` of ``ranks``, from ``first`` to ``length``."""

    shards: Sequence[Shard]
    config: DataConfig
    seed: int
    length: int
    first: int = 0
    rank: int = 0
    ranks: int = 1

    def __iter__(self) -> Iterator[Batch]:
        one_opencv_thread()
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        share = share_of(worker, workers, self.first, self.rank, self.ranks)
        size = self.config.batch_size
        stream = raw_stream(self.shards, self.seed, share.lane, self.config.shuffle, share.made * size)
        for n in range(share.first, self.length, share.workers):
            rng = np.random.default_rng([self.seed, n, self.rank])
            crop = crop_of_batch(rng, self.config, n / self.length)
            yield stacked([crop_of(next(stream), rng, self.config, crop) for _ in range(size)])


def crop_of(raw: RawSample, rng: np.random.Generator, config: DataConfig, crop: tuple[int, int]) -> Batch:
    """One crop of a sample; CaptureError names shard and sample if it is damaged or not of the train split."""
    try:
        one = EncodedSample.of(raw.fields)
        if one.info["split"] != "train":
            raise CaptureError(
                f"{one.key}: is in the {one.info['split']} split; expected samples of the train split: list only "
                "train-*.tar in data.shards"
            )
        truth = truth_of(one.key, one.inv_depth, one.confidence)

        def image_of(sharp: bool) -> UInt8Array:
            pixels = one.image("sharp" if sharp else "focused")
            check_one_size(one.key, pixels, truth.inv_depth)
            return pixels

        info = one.info
        stated = {name: info[name] for name in ("capture", "source", "licence", "provenance", "unit")}
        record = SceneRecord(one.key, info["place"], **stated, frames=[], sharp="", inv_depth="")
        frame = FrameRecord("", info["u_focus"], info["kappa_px"])
        return sample(rng, frame, image_of, truth, record, config, crop)
    except CaptureError as error:
        raise CaptureError(f"{raw.source}: {error}") from error


def shard_loader(dataset: ShardBatches, workers: int) -> DataLoader[Batch]:
    """The batches in order, prepared in advance by worker processes."""
    one_opencv_thread()
    return DataLoader(dataset, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None)
