"""The order of a stream: every sample once per epoch over all lanes, resumable at any point."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tests.support.made_scenes import make_scene, make_scene_root  # noqa: E402
from tests.support.served_folder import served_folder  # noqa: E402

from mddnet.config import DataConfig  # noqa: E402
from mddnet.data import shard_stream  # noqa: E402
from mddnet.data.batch import Batch  # noqa: E402
from mddnet.data.loader import sample  # noqa: E402
from mddnet.data.scene_pool import open_scenes, read_truth  # noqa: E402
from mddnet.data.shard_batches import ShardBatches, crop_of, shard_loader, share_of  # noqa: E402
from mddnet.data.shard_stream import Lane, RawSample, raw_stream  # noqa: E402
from mddnet.data.split import read_split, split_of  # noqa: E402
from mddnet.errors import CaptureError  # noqa: E402
from mddnet.scenes.shard_source import (  # noqa: E402
    BrokenShard,
    Shard,
    count_samples,
    expand_shards,
    raw_samples,
)
from mddnet.scenes.shards_write import plan_shards, write_shards  # noqa: E402
from mddnet.scenes.store import read_image  # noqa: E402
from mddnet.types import Lens  # noqa: E402


def write(root: Path, out: Path, split: Path, shard_bytes: int = 2**17) -> None:
    locations = read_split(split)
    plan = plan_shards(root, lambda location: split_of(location, locations) or "", shard_bytes=shard_bytes)
    assert all(row.state == "written" for row in write_shards(plan, out))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes, and in ``shards`` their 12 samples of the train split and 3 of the dev split."""
    folder = tmp_path_factory.mktemp("stream")
    root, split = make_scene_root(folder / "scenes")
    write(root, folder / "shards", split)
    return folder


@pytest.fixture(scope="module")
def shards(folder: Path) -> list[Shard]:
    return count_samples(expand_shards([f"{folder}/shards/train-*.tar"]))


def config(**changes) -> DataConfig:
    data = {"shards": ["x.tar"], "crop": (64, 64), "batch_size": 4, "late_crop": (64, 96)}
    return DataConfig.model_validate({**data, "shuffle": 4, **changes})


# --- the order --------------------------------------------------------------------------------------------------------


def _numbers(source: str, wanted: Callable[[int], bool]) -> Iterator[dict[str, str] | None]:
    """Replacement of ``raw_samples``: the samples are numbers, as many as the source states."""
    for index in range(int(source.split(":")[1])):
        yield {"__key__": f"{source}/{index}"} if wanted(index) else None


def keys_of_epoch(streams: Sequence[Iterator[RawSample]], epoch: int) -> Counter[str]:
    """The samples of an epoch over all lanes."""
    found: Counter[str] = Counter()
    for stream in streams:
        after = 0
        for one in stream:
            found[str(one.fields["__key__"])] += one.epoch == epoch
            after = after + 1 if one.epoch > epoch else 0
            if after > 100:  # longer than two blocks
                break
    return +found


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    lanes=st.integers(1, 5),
    shuffle=st.integers(1, 20),
    seed=st.integers(0, 3),
)
def test_every_sample_once_per_epoch(sizes: list[int], lanes: int, shuffle: int, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_stream, "raw_samples", _numbers)
        shards = [Shard(f"{number}:{samples}", samples) for number, samples in enumerate(sizes)]
        for epoch in (0, 2):
            streams = [raw_stream(shards, seed, Lane(lane, lanes), shuffle) for lane in range(lanes)]
            wanted = {f"{shard.source}/{index}": 1 for shard in shards for index in range(shard.samples)}
            assert keys_of_epoch(streams, epoch) == wanted


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    first=st.integers(0, 120),
    shuffle=st.integers(1, 20),
    lane=st.integers(0, 2),
)
def test_stream_resumes_at_any_point(sizes: list[int], first: int, shuffle: int, lane: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_stream, "raw_samples", _numbers)
        shards = [Shard(f"{number}:{samples}", samples) for number, samples in enumerate(sizes)]
        whole = list(itertools.islice(raw_stream(shards, 5, Lane(lane, 3), shuffle), first + 30))
        rest = list(itertools.islice(raw_stream(shards, 5, Lane(lane, 3), shuffle, first), 30))
        assert rest == whole[first:]


def test_epochs_differ_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_stream, "raw_samples", _numbers)
    shards = [Shard(f"{number}:10", 10) for number in range(4)]
    stream = raw_stream(shards, 0, Lane(), 16)
    samples = list(itertools.islice(stream, 200))
    orders = [[str(one.fields["__key__"]) for one in samples if one.epoch == epoch] for epoch in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]
    assert orders[0] != sorted(orders[0])


def test_enough_shards_are_read_by_one_lane_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_stream, "raw_samples", _numbers)
    shards = [Shard(f"{number}:6", 6) for number in range(4)]
    streams = [itertools.islice(raw_stream(shards, 0, Lane(lane, 4), 2), 6) for lane in range(4)]
    assert sorted(len({one.source for one in stream}) for stream in streams) == [1, 1, 1, 1]


def test_lanes_alternate() -> None:
    for first in range(7):
        for workers in (1, 2, 3):
            made = {}
            for worker in range(workers):
                share = share_of(worker, workers, first, rank=1, ranks=2)
                for k, n in enumerate(range(share.first, 12, workers)):
                    made[n] = (share.lane.number, share.made + k)
            expected = {n: (workers + n % workers, n // workers) for n in range(first, 12)}
            assert made == expected


# --- the files --------------------------------------------------------------------------------------------------------


class _Keys(ShardBatches):
    """The keys of the samples instead of their crops, with their epoch."""

    def __iter__(self) -> Iterator[list[tuple[int, str]]]:  # type: ignore[override]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "mddnet.data.shard_batches.crop_of", lambda raw, rng, config, crop: (raw.epoch, raw.fields["__key__"])
            )
            patch.setattr("mddnet.data.shard_batches.stacked", list)
            yield from super().__iter__()  # type: ignore[misc]


@pytest.mark.parametrize("over_web", [False, True])
def test_two_processes_with_two_workers_use_every_sample_once(folder: Path, over_web: bool) -> None:
    """As the loader delivers them: 2 ranks x 2 workers over the same files, or over HTTP."""
    with served_folder(folder / "shards") as server:
        location = server.url if over_web else f"{folder}/shards/"
        count = len(list((folder / "shards").glob("train-*.tar")))
        shards = count_samples(expand_shards([f"{location}train-{{000000..{count - 1:06d}}}.tar"]))
        found: Counter[tuple[int, str]] = Counter()
        for rank in (0, 1):
            keys = _Keys(shards, config(batch_size=2), seed=1, length=24, rank=rank, ranks=2)
            for batch in shard_loader(keys, workers=2):
                found.update((epoch, key) for epoch, key in batch)
    paths = sorted((folder / "shards").glob("train-*.tar"))
    wanted = {str(one["__key__"]) for path in paths for one in raw_samples(str(path)) if one is not None}
    assert len(wanted) == 12
    for epoch in (0, 1):
        assert {key: n for (e, key), n in found.items() if e == epoch} == dict.fromkeys(wanted, 1)


@pytest.mark.slow
def test_run_resumes_in_the_middle_of_an_epoch(shards: list[Shard]) -> None:
    whole = list(shard_loader(ShardBatches(shards, config(), 3, length=7), workers=2))
    for first in (1, 4):
        rest = list(shard_loader(ShardBatches(shards, config(), 3, length=7, first=first), workers=2))
        assert len(rest) == 7 - first
        for one, other in zip(rest, whole[first:], strict=True):
            assert torch.equal(one.image, other.image)
            assert torch.equal(one.kappa_px, other.kappa_px)


def test_crops_equal_those_of_scenes(folder: Path, shards: list[Shard]) -> None:
    entries = {
        f"{entry.group}+{entry.folder.name}": entry
        for entry in open_scenes(folder / "scenes", read_split(folder / "scenes/split.csv"), "train")
    }
    settings = config(photometric=0.5)
    for number, raw in enumerate(itertools.islice(raw_stream(shards, 0, Lane(), 4), 12)):
        scene, _, frame = str(raw.fields["__key__"]).rpartition("+")
        entry = entries[scene]
        record = entry.record
        rng = np.random.default_rng(number)
        truth = read_truth(entry)
        expected = sample(
            rng,
            record.frames[int(frame)],
            lambda sharp, entry=entry, frame=frame: read_image(
                entry.folder / (entry.record.sharp if sharp else entry.record.frames[int(frame)].file)
            ),
            truth,
            replace(record, lens=Lens()),  # a shard does not hold the lens
            settings,
            (64, 64),
        )
        found = crop_of(raw, np.random.default_rng(number), settings, (64, 64))
        for name in Batch.__dataclass_fields__:
            assert torch.equal(torch.nan_to_num(getattr(found, name)), torch.nan_to_num(getattr(expected, name))), name


def test_samples_of_dev_split_are_refused(folder: Path) -> None:
    shards = count_samples(expand_shards([f"{folder}/shards/dev-*.tar"]))
    with pytest.raises(CaptureError, match=r"dev-000000\.tar: focal_stacks\+d\+000\d: .*dev split"):
        next(iter(ShardBatches(shards, config(), 0, length=1)))


def test_interrupted_download_is_repeated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_stream, "WAIT_S", 0.01)
    name = "train-000000.tar"
    size = (folder / "shards" / name).stat().st_size
    with served_folder(folder / "shards") as server:
        shards = count_samples([server.url + name])
        wanted = list(itertools.islice(raw_stream(shards, 0, Lane(), 4), shards[0].samples))
        server.asked.clear()
        server.break_off["/" + name] = size * 2 // 3
        again = list(itertools.islice(raw_stream(shards, 0, Lane(), 4), shards[0].samples))
        assert again == wanted and server.asked.count("/" + name) >= 2


def test_truncated_shard_is_refused(folder: Path) -> None:
    name = f"{folder}/shards/train-000000.tar"
    true = count_samples([name])[0].samples
    with pytest.raises(BrokenShard, match=f"{true} samples; expected {true + 1}"):
        list(itertools.islice(raw_stream([Shard(name, true + 1)], 0, Lane(), 4), 2 * true + 2))


def test_a_large_scene_is_streamed_like_a_small_one(tmp_path: Path) -> None:
    make_scene(
        tmp_path / "scenes", "all_in_3d", "s", "all_in_3d/s", 1, size=(192, 256), unit="1/m", capture="all_in_3d"
    )
    (tmp_path / "split.csv").write_text("place,split\nall_in_3d/s,train\n")
    write(tmp_path / "scenes", tmp_path / "out", tmp_path / "split.csv")
    shards = count_samples(expand_shards([f"{tmp_path}/out/train-*.tar"]))
    batch = next(iter(shard_loader(ShardBatches(shards, config(batch_size=3), 0, length=1), workers=0)))
    law = batch.kappa_px.view(-1, 1, 1, 1) * (batch.u_focus.view(-1, 1, 1, 1) - batch.inv_depth)
    known = torch.isfinite(law)
    assert known.any() and torch.allclose(law[known], batch.signed_defocus_px[known], atol=1e-3)
