"""The order in which the sets of shards come: every set once per epoch, over all processes, from any point on.

The work is dealt out to *lanes*, one per loading process of each training process. Shards are cut into parts until
there is one for every lane (a shard that is not cut is read by one lane only). In every epoch the parts are put into
another order; the parts of all epochs, one epoch after the other, are dealt out to the lanes in turn. So no set is lost
or comes twice in an epoch, and no lane waits for another. Within a lane, sets are permuted block by block, the first
blocks being small so that the first batch comes soon. Everything follows from the seed and the lane: a lane that goes
on after n sets skips the parts and blocks before them without reading them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mddnet.scenes.shard_source import BrokenShard, Shard, is_address, raw_samples

FIRST_BLOCK = 8
ATTEMPTS = 5
WAIT_S = 1.0
"""Wait before a web address is asked again; it doubles each time."""


@dataclass(frozen=True, slots=True)
class RawSample:
    """A set as its files.

    Attributes:
        epoch: how many times all sets came before.
        source: the shard that it comes from.
        fields: file contents by field, and ``__key__``.
    """

    epoch: int
    source: str
    fields: Mapping[str, bytes | str]


@dataclass(frozen=True, slots=True)
class Lane:
    """Which share of the work is meant.

    Attributes:
        number: from 0 to ``of - 1``.
        of: number of lanes.
    """

    number: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class _Part:
    """Every ``of``-th set of a shard, from ``number`` on."""

    shard: Shard
    number: int
    of: int

    @property
    def samples(self) -> int:
        return len(range(self.number, self.shard.samples, self.of))


def raw_stream(shards: Sequence[Shard], seed: int, lane: Lane, shuffle: int, first: int = 0) -> Iterator[RawSample]:
    """The sets of a lane, without end.

    Args:
        shards: all shards, with the number of their sets.
        seed: of the order.
        lane: whose sets.
        shuffle: sets in a block; twice that many are in memory at most.
        first: number of sets of this lane to leave out, because they came before.

    Raises:
        CaptureError: if a shard cannot be read, or holds another number of sets than was said.
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
            assert one is not None  # an order names every set once
            yield one
            # the next block is read bit by bit, so that nobody waits for all of it
            while len(following) * (size - done) < next_size * (n + 1 - done):
                following.append(next(coming))
        block, size, number, done = following, next_size, number + 1, 0


def _in_order(shards: Sequence[Shard], seed: int, lane: Lane, first: int) -> Iterator[RawSample]:
    """The sets of a lane part by part, without the first ones."""
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
    """The sets of a part from the ``first`` on; a web address that breaks off is asked again for the rest."""
    source = part.shard.source
    for attempt in range(ATTEMPTS):
        count = 0
        try:
            for index, fields in enumerate(raw_samples(source, partial(_wanted, part, first))):
                count = index + 1
                if fields is not None:
                    first = index // part.of + 1
                    yield fields
            if count == part.shard.samples:
                return
            # a tar file that ends between two members looks whole
            broken = BrokenShard(
                f"{source}: {count} sets; expected {part.shard.samples} as counted before: copy or make the shard again"
            )
        except BrokenShard as error:
            broken = error
        if not is_address(source) or attempt == ATTEMPTS - 1:
            raise broken
        time.sleep(WAIT_S * 2**attempt)


def _wanted(part: _Part, first: int, index: int) -> bool:
    return index % part.of == part.number and index // part.of >= first
