"""The order of samples from shards: every sample once per epoch, over all processes, resumable at any point.

The samples are distributed to *lanes*, one per loading process of each training process. Shards are divided into parts
until there is one for every lane (a shard that is not divided is read by one lane only). The parts are shuffled in
every epoch, and the parts of all epochs, one epoch after the other, are assigned to the lanes in turn. So every sample
is used exactly once per epoch, and no lane waits for another. Within a lane, samples are shuffled block by block; the
first blocks are small, so that the first batch is ready soon. The order depends on the seed and the lane only: a lane
that resumes after n samples skips earlier parts and blocks without reading them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mddnet.scenes.shard_source import BrokenShard, Shard, is_address, raw_samples

FIRST_BLOCK = 8
ATTEMPTS = 5
WAIT_S = 1.0  # wait before a request is repeated; it doubles each time


@dataclass(frozen=True, slots=True)
class RawSample:
    """The files of a sample."""

    epoch: int
    source: str  # its shard
    fields: Mapping[str, bytes | str]  # file contents by field, and __key__


@dataclass(frozen=True, slots=True)
class Lane:
    """Lane ``number``, from 0, of ``of`` lanes."""

    number: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class _Part:
    """Every ``of``-th sample of a shard, from ``number`` on."""

    shard: Shard
    number: int
    of: int

    @property
    def samples(self) -> int:
        return len(range(self.number, self.shard.samples, self.of))

    def wanted_from(self, first: int) -> Callable[[int], bool]:
        return lambda index: index % self.of == self.number and index // self.of >= first


def raw_stream(shards: Sequence[Shard], seed: int, lane: Lane, shuffle: int, first: int = 0) -> Iterator[RawSample]:
    """The samples of a lane, endlessly, without the ``first`` ones, shuffled in blocks of ``shuffle``.

    At most two blocks are in memory. CaptureError if a shard is broken or has another number of samples than stated.
    """
    start, size, number = 0, min(FIRST_BLOCK, shuffle), 0
    while start + size <= first:
        start, size, number = start + size, min(2 * size, shuffle), number + 1
    coming = _in_order(shards, seed, lane, start)
    block: list[RawSample | None] = [next(coming) for _ in range(size)]
    done = first - start
    while True:
        order = np.random.default_rng([seed, lane.number, number, 1]).permutation(size)
        following: list[RawSample | None] = []
        next_size = min(2 * size, shuffle)
        for n in range(done, size):
            one, block[order[n]] = block[order[n]], None
            assert one is not None  # an order has every index once
            yield one
            # read the next block step by step, so that nothing waits for all of it
            while len(following) * (size - done) < next_size * (n + 1 - done):
                following.append(next(coming))
        block, size, number, done = following, next_size, number + 1, 0


def _in_order(shards: Sequence[Shard], seed: int, lane: Lane, first: int) -> Iterator[RawSample]:
    """The samples of a lane part by part, without the first ones."""
    cuts = -(-lane.of // len(shards))
    parts = [_Part(shard, number, cuts) for shard in shards for number in range(cuts)]
    position, epoch = lane.number, -1
    order = np.arange(len(parts))
    while True:
        if position // len(parts) != epoch:
            epoch = position // len(parts)
            order = np.random.default_rng([seed, epoch]).permutation(len(parts))
        part = parts[order[position % len(parts)]]
        position += lane.of
        if part.samples <= first:
            first -= part.samples
            continue
        for fields in _samples_of(part, first):
            yield RawSample(epoch, part.shard.source, fields)
        first = 0


def _samples_of(part: _Part, first: int) -> Iterator[Mapping[str, bytes | str]]:
    """The samples of a part from ``first`` on; an interrupted download is repeated for the rest."""
    source = part.shard.source
    for attempt in range(ATTEMPTS):
        count = 0
        try:
            for index, fields in enumerate(raw_samples(source, part.wanted_from(first))):
                count = index + 1
                if fields is not None:
                    first = index // part.of + 1
                    yield fields
            if count == part.shard.samples:
                return
            # a tar file truncated between two members is valid
            broken = BrokenShard(
                f"{source}: {count} samples; expected {part.shard.samples} as counted before: copy or write the shard "
                "again"
            )
        except BrokenShard as error:
            broken = error
        if not is_address(source) or attempt == ATTEMPTS - 1:
            raise broken
        time.sleep(WAIT_S * 2**attempt)
