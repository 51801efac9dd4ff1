"""Sources of shards: patterns, files and web addresses, and size-limited streams."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

pytest.importorskip("cv2", reason="building needs OpenCV (extra build)")
pytest.importorskip("braceexpand", reason="shards need braceexpand (extra build)")

from tests.support.made_scenes import make_scene_root
from tests.support.served_folder import served_folder

from mddnet.data.split import read_split, split_of
from mddnet.errors import CaptureError
from mddnet.scenes import shard_source
from mddnet.scenes.shard_source import BrokenShard, Shard, count_samples, expand_shards, raw_samples, shard_licences
from mddnet.scenes.shards import read_shard
from mddnet.scenes.shards_write import plan_shards, write_shards


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three training shards with 12 samples, and one of dev."""
    folder = tmp_path_factory.mktemp("shards")
    root, split = make_scene_root(folder / "scenes")
    locations = read_split(split)
    plan = plan_shards(root, lambda location: split_of(location, locations) or "", shard_bytes=2**17)
    assert all(row.state == "written" for row in write_shards(plan, folder / "out"))
    return folder / "out"


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


# --- patterns ---------------------------------------------------------------------------------------------------------


def test_braces_and_stars_are_expanded(written: Path) -> None:
    names = sorted(str(path) for path in written.glob("train-*.tar"))
    assert len(names) > 2
    assert expand_shards([f"{written}/train-{{000000..00000{len(names) - 1}}}.tar"]) == names
    assert expand_shards([f"{written}/train-*.tar"]) == names
    assert expand_shards(["https://x.org/{train,dev}-0.tar?key=1"]) == [
        "https://x.org/train-0.tar?key=1",
        "https://x.org/dev-0.tar?key=1",
    ]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("nowhere/train-{0..1}.tar", "nowhere/train-0.tar: no such file"),
        ("nowhere/*.tar", "no file matches"),
        ("pipe:touch owned", "pipe:touch owned: .*an address"),
        ("file:///etc/passwd", "file:///etc/passwd: .*an address"),
        ("ftp://x.org/a.tar", "ftp://x.org/a.tar: .*an address"),
        ("s3://bucket/a.tar", "s3://bucket/a.tar: .*an address"),
        ("{a", "no such file|braces"),
        ("https://x.org/{a,a}.tar", "listed twice"),
    ],
)
def test_other_patterns_are_refused(pattern: str, words: str) -> None:
    with pytest.raises(CaptureError, match=words):
        expand_shards([pattern])


# --- counting ---------------------------------------------------------------------------------------------------------


def test_samples_are_counted_by_the_summary_or_by_reading(written: Path, tmp_path: Path) -> None:
    sources = expand_shards([f"{written}/train-*.tar"])
    with served_folder(written) as server:
        urls = [server.url + Path(source).name for source in sources]
        by_summary = count_samples(urls)
        assert server.asked == ["/shards.json"]
    assert sum(shard.samples for shard in by_summary) == 12
    for source in sources:  # alone, without the summary
        (tmp_path / Path(source).name).write_bytes(Path(source).read_bytes())
    alone = count_samples(expand_shards([f"{tmp_path}/*.tar"]))
    assert [shard.samples for shard in alone] == [shard.samples for shard in by_summary]
    (tmp_path / "shards.json").write_text("[1, 2")
    assert count_samples([str(tmp_path / Path(sources[0]).name)])[0].samples == by_summary[0].samples


def test_an_invalid_summary_is_ignored(tmp_path: Path, written: Path) -> None:
    name = "train-000000.tar"
    (tmp_path / name).write_bytes((written / name).read_bytes())
    true = count_samples([str(written / name)])
    for claim in ({name: -1}, {name: "many"}, {name: 1e9}, [name]):
        (tmp_path / "shards.json").write_text(json.dumps({"splits": {"train": {"sets_of_shard": claim}}}))
        assert count_samples([str(tmp_path / name)])[0].samples == true[0].samples


def test_shards_without_a_sample_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no sample"):
        count_samples([str(tar_of(tmp_path / "a.tar"))])


def test_licences_come_with_the_shards(written: Path, tmp_path: Path) -> None:
    rows = shard_licences([Shard(str(written / "train-000000.tar"), 4)])
    assert {row["scene"] for row in rows} == {"a1", "a2", "b", "c"} and rows[0]["licence"] == "Apache-2.0"
    assert shard_licences([Shard(str(tmp_path / "train-000000.tar"), 4)])[0]["licence"] == "not known"


# --- streams ----------------------------------------------------------------------------------------------------------


def test_web_addresses_give_the_same_samples(written: Path) -> None:
    path = written / "train-000000.tar"
    with served_folder(written) as server:
        over_web = [sample.key for sample in read_shard(server.url + path.name)]
        assert over_web == [sample.key for sample in read_shard(path)] != []
        with pytest.raises(BrokenShard, match="404"):
            next(raw_samples(server.url + "nothing.tar"))
        server.break_off["/train-000000.tar"] = 30_000
        with pytest.raises(BrokenShard, match="train-000000"):
            list(raw_samples(server.url + path.name))
        server.redirects["/moved.tar"] = "ftp://127.0.0.1:1/x.tar"
        with pytest.raises(BrokenShard, match="moved"):
            list(raw_samples(server.url + "moved.tar"))


def test_unwanted_samples_are_not_read(written: Path) -> None:
    path = str(written / "train-000000.tar")
    whole = list(raw_samples(path))
    some = list(raw_samples(path, lambda index: index == 1))
    assert [one is None for one in some] == [index != 1 for index in range(len(whole))]
    assert some[1] == whole[1]


@pytest.mark.parametrize("over_web", [False, True])
def test_a_header_cannot_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over_web: bool) -> None:
    # a name of 8 MB where a member may have 1 MB (both 512 times as much in earnest)
    monkeypatch.setattr(shard_source, "MAX_MEMBER_BYTES", 0)
    info = tarfile.TarInfo("k." + "n" * (8 * 2**20))
    tar_of(tmp_path / "a.tar", (info, b"x"))
    with served_folder(tmp_path) as server, pytest.raises(BrokenShard, match="more than"):
        list(raw_samples(server.url + "a.tar" if over_web else str(tmp_path / "a.tar")))


def test_a_sample_cannot_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_source, "MAX_SAMPLE_BYTES", 1000)
    members = [(tarfile.TarInfo(f"k.f{i}"), b"x" * 300) for i in range(4)]
    with pytest.raises(CaptureError, match=r"sample k .*1000 bytes"):
        list(raw_samples(str(tar_of(tmp_path / "a.tar", *members))))
