"""WebDataset shards: all maps explicit and exact, the same bytes twice, whole after a kill, and safe to read."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("cv2", reason="building needs OpenCV (extra build)")
pytest.importorskip("joblib", reason="building needs joblib (extra build)")

from tests.support.made_scenes import KAPPA_PX, make_scene_root

from mddnet.cli.main import main
from mddnet.data.split import read_split, split_of
from mddnet.errors import CaptureError
from mddnet.scenes.shards import EncodedSample, decode_sample, read_shard, sample_key
from mddnet.scenes.shards_write import CHECKSUMS, ShardRow, plan_shards, write_shards
from mddnet.scenes.store import read_image, read_inv_depth, read_scene, write_image, write_inv_depth, write_scene_json
from mddnet.types import FrameRecord, SceneRecord


def side_by(split: Path) -> Callable[[str], str]:
    locations = read_split(split)
    return lambda location: split_of(location, locations) or ""


def write(root: Path, out: Path, split: Path, **settings: Any) -> list[ShardRow]:
    return list(write_shards(plan_shards(root, side_by(split), **settings), out))


def all_samples(out: Path, side: str = "*") -> dict[str, EncodedSample]:
    return {sample.key: sample for path in sorted(out.glob(f"{side}-*.tar")) for sample in read_shard(path)}


def tiny_scene(root: Path, name: str, location: str, u: np.ndarray, unit: str, **frame: float) -> Path:
    folder = root / "rgbd" / name
    folder.mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 256, (*u.shape, 3), dtype=np.uint8)
    for file in ("sharp.png", "frame_00.png"):
        write_image(folder / file, image)
    write_inv_depth(folder / "inv_depth.png", u, unit)  # type: ignore[arg-type]
    frames = [FrameRecord("frame_00.png", frame["u_focus"], frame["kappa_px"])]
    record = SceneRecord(name, location, "rgbd", "test", "CC0", "rendered", unit, frames, "sharp.png", "inv_depth.png")  # type: ignore[arg-type]
    write_scene_json(folder, record)
    return folder


# --- content of samples -----------------------------------------------------------------------------------------------


def test_all_four_maps_are_restored(tmp_path: Path) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    rows = write(root, tmp_path / "out", split)
    assert [(row.name, row.samples, row.state) for row in rows] == [
        ("train-000000.tar", 12, "written"),
        ("dev-000000.tar", 3, "written"),
    ]
    assert {sample.info["place"] for sample in all_samples(tmp_path / "out", "train").values()} == {
        "place_a",
        "place_b",
        "place_c",
    }
    assert {sample.info["place"] for sample in all_samples(tmp_path / "out", "dev").values()} == {"place_d"}
    sample = all_samples(tmp_path / "out")["focal_stacks+a1+0002"]
    folder = root / "focal_stacks/a1"
    u = read_inv_depth(folder / "inv_depth.png")
    np.testing.assert_array_equal(sample.sharp, read_image(folder / "sharp.png"))
    np.testing.assert_array_equal(sample.focused, read_image(folder / "frame_02.png"))
    np.testing.assert_array_equal(sample.inv_depth, u)
    np.testing.assert_allclose(sample.signed_defocus_px, KAPPA_PX * (0.9 - u), atol=1e-5)
    np.testing.assert_array_equal(sample.defocus_px, np.abs(sample.signed_defocus_px))
    np.testing.assert_array_equal(sample.confidence, np.isfinite(u).astype(np.float32))
    assert sample.info["u_focus"] == 0.9 and sample.info["kappa_px"] == KAPPA_PX
    assert sample.info["licence"] == "Apache-2.0" and sample.info["source"] == "made by the tests"
    assert sample.info["provenance"] == "rendered" and sample.info["unit"] == "relative"


@pytest.mark.parametrize("unit", ["1/m", "relative"])
def test_the_defocus_by_hand(tmp_path: Path, unit: str) -> None:
    """kappa 10 px, focused at 2: u 0, 2, 4 give 20, 0 and -20 px; infinity is u = 0 in 1/m, else the lowest u."""
    u = np.array([[1.0, 2.0, 4.0], [np.nan, -np.inf, 4.0]], np.float32)
    tiny_scene(tmp_path / "s", "a", "hall", u, unit, u_focus=2.0, kappa_px=10.0)
    list(write_shards(plan_shards(tmp_path / "s", lambda location: "train"), tmp_path / "out"))
    (sample,) = all_samples(tmp_path / "out").values()
    infinity = 20.0 if unit == "1/m" else 10.0
    expected = [[10.0, 0.0, -20.0], [np.nan, infinity, -20.0]]
    np.testing.assert_allclose(sample.signed_defocus_px, expected, atol=1e-3)
    np.testing.assert_array_equal(sample.confidence, [[1, 1, 1], [0, 1, 1]])


@pytest.mark.slow
@settings(deadline=None)  # every example writes files
@given(seed=st.integers(0, 2**32 - 1), u_focus=st.floats(-3, 3), kappa_px=st.floats(0, 500))
def test_the_defocus_map_is_as_exact_as_the_depth_map(
    tmp_path_factory: pytest.TempPathFactory, seed: int, u_focus: float, kappa_px: float
) -> None:
    tmp_path = tmp_path_factory.mktemp("exact")
    u = np.random.default_rng(seed).uniform(-2, 2, (5, 7)).astype(np.float32)
    u[0, 0] = np.nan
    tiny_scene(tmp_path / "s", "a", "hall", u, "relative", u_focus=u_focus, kappa_px=kappa_px)
    list(write_shards(plan_shards(tmp_path / "s", lambda location: "train"), tmp_path / "out"))
    (sample,) = all_samples(tmp_path / "out").values()
    half = 0.5 * abs(sample.info["signed_defocus_px_step"])
    truth = kappa_px * (u_focus - u.astype(np.float64))
    error = np.abs(sample.signed_defocus_px - truth)[np.isfinite(u)]
    assert (error <= half * (1 + 1e-6) + 1e-6 * (1 + np.abs(truth[np.isfinite(u)]))).all()
    assert np.isnan(sample.signed_defocus_px[0, 0])


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=2, max_size=2, unique=True))
def test_no_two_scenes_share_a_key(names: list[tuple[str, str]]) -> None:
    first, second = (sample_key(group, scene, 3) for group, scene in names)
    assert first != second
    assert not set(first) & set("./\\ ") and first.isascii()


def test_jpegs_are_copied_and_a_mixture_becomes_png(tmp_path: Path) -> None:
    """Readers take columns from file names, so all samples have the same fields."""
    root, split = make_scene_root(tmp_path / "scenes")
    for folder in sorted(root.glob("*/*")):
        if folder.is_dir():
            for path in folder.glob("frame_*.png"):
                write_image(path.with_suffix(".jpg"), read_image(path))
            text = (folder / "scene.json").read_text()
            for k in range(3):
                text = text.replace(f"frame_{k:02d}.png", f"frame_{k:02d}.jpg")
            (folder / "scene.json").write_text(text)
    write(root, tmp_path / "jpg", split)
    with tarfile.open(tmp_path / "jpg/dev-000000.tar") as tar:
        names = {name.partition(".")[2] for name in tar.getnames()}
        assert names == {
            *("sharp.png", "focused.jpg", "inv_depth.png"),
            *("signed_defocus_px.png", "confidence.png", "json"),
        }
        stream = tar.extractfile("focal_stacks+d+0001.focused.jpg")
        assert stream is not None and stream.read() == (root / "focal_stacks/d/frame_01.jpg").read_bytes()
    text = (root / "focal_stacks/d/scene.json").read_text()
    (root / "focal_stacks/d/scene.json").write_text(text.replace("frame_01.jpg", "frame_01.png"))
    write(root, tmp_path / "png", split)
    with tarfile.open(tmp_path / "png/dev-000000.tar") as tar:
        assert "focal_stacks+d+0000.focused.png" in tar.getnames()
    np.testing.assert_array_equal(
        all_samples(tmp_path / "png")["focal_stacks+d+0000"].focused, read_image(root / "focal_stacks/d/frame_00.jpg")
    )


# --- bytes, sums, tables ----------------------------------------------------------------------------------------------


def contents(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.parent.name != "index" and not path.name.startswith(".")
    }


def test_the_same_scenes_give_the_same_bytes_in_any_number_of_processes(tmp_path: Path) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    write(root, tmp_path / "one", split, shard_bytes=100_000)
    plan = plan_shards(root, side_by(split), shard_bytes=100_000)
    list(write_shards(plan, tmp_path / "two", jobs=2))
    assert len(plan.tasks) > 3
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    with tarfile.open(tmp_path / "one/train-000000.tar") as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}


def test_sums_licences_and_summary(tmp_path: Path) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    out = tmp_path / "out"
    rows = write(root, out, split)
    lines = dict(line.split("  ")[::-1] for line in (out / CHECKSUMS).read_text().splitlines())
    assert set(lines) == {"train-000000.tar", "dev-000000.tar", "licences.csv", "shards.json"}
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == value for name, value in lines.items())
    assert lines["dev-000000.tar"] == rows[1].sha256
    with (out / "licences.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["split"], row["scene"], row["licence"], row["sets"]) for row in table][:2] == [
        ("dev", "d", "Apache-2.0", "3"),
        ("train", "a1", "Apache-2.0", "3"),
    ]
    summary = json.loads((out / "shards.json").read_text())
    counts = {"sets": 12, "sets_of_shard": {"train-000000.tar": 12}, "scenes": 4, "places": 3}
    assert summary["splits"]["train"] == {"shards": ["train-000000.tar"], **counts}


def test_samples_of_one_scene_are_not_adjacent(tmp_path: Path) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    write(root, tmp_path / "out", split)
    scenes = [sample.info["scene"] for sample in read_shard(tmp_path / "out/train-000000.tar")]
    assert scenes != sorted(scenes)


# --- going on ---------------------------------------------------------------------------------------------------------


def test_unchanged_shards_are_kept_and_changed_ones_rewritten(tmp_path: Path) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    out = tmp_path / "out"
    write(root, out, split)
    assert {row.state for row in write(root, out, split)} == {"kept"}
    change = root / "focal_stacks/d/scene.json"
    change.write_text(change.read_text().replace("Apache-2.0", "CC0-1.0"))
    assert [row.state for row in write(root, out, split)] == ["kept", "written"]
    (out / "dev-000000.tar").write_bytes(b"cut")
    assert [row.state for row in write(root, out, split)] == ["kept", "written"]
    assert {sample.info["licence"] for sample in all_samples(out, "dev").values()} == {"CC0-1.0"}


def test_shards_of_an_earlier_plan_are_removed(tmp_path: Path) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    out = tmp_path / "out"
    write(root, out, split, shard_bytes=100_000)
    write(root, out, split)
    assert sorted(path.name for path in out.glob("*.tar")) == ["dev-000000.tar", "train-000000.tar"]
    assert len(all_samples(out)) == 15
    (out / "train-000007.tar").write_bytes(b"somebody's")
    with pytest.raises(CaptureError, match=r"train-000007\.tar: not written by"):
        write(root, out, split)
    assert (out / "train-000007.tar").read_bytes() == b"somebody's"


KILLED = """
import os, signal, sys
from pathlib import Path
import mddnet.scenes.shards_write as module
whole, count = module.sample_files, 0
def killed(*arguments):
    global count
    count += 1
    if count == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)
module.sample_files = killed
plan = module.plan_shards(Path(sys.argv[1]), lambda location: "train", shard_bytes=100_000)
for row in module.write_shards(plan, Path(sys.argv[2])):
    print(row.name, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_a_killed_run_leaves_complete_shards_and_the_next_resumes(tmp_path: Path) -> None:
    root, _ = make_scene_root(tmp_path / "scenes")
    out = tmp_path / "out"
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(root), str(out)], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    done = run.stdout.split()
    assert done and sorted(path.name for path in out.glob("*.tar")) == done
    assert not (out / CHECKSUMS).exists()
    plan = plan_shards(root, lambda location: "train", shard_bytes=100_000)
    states = {row.name: row.state for row in write_shards(plan, out)}
    assert [name for name, state in states.items() if state == "kept"] == done
    assert set(states.values()) == {"kept", "written"}
    list(write_shards(plan, tmp_path / "at_once"))
    assert contents(out) == contents(tmp_path / "at_once")


# --- what cannot be written -------------------------------------------------------------------------------------------


def test_a_location_without_split_is_refused(tmp_path: Path) -> None:
    root, _ = make_scene_root(tmp_path / "scenes")
    with pytest.raises(CaptureError, match="'place_a' is not in"):
        plan_shards(root, lambda location: "dev" if location == "place_d" else "")


def test_damaged_scenes_are_skipped_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    (root / "focal_stacks/a1/scene.json").write_text("{")
    (root / "focal_stacks/a2/frame_01.png").unlink()
    assert main(["shards", str(root), "-o", str(tmp_path / "out"), "--split", str(split)]) == 1
    told = capsys.readouterr()
    assert "a1/scene.json" in told.err and "a2/frame_01.png" in told.err
    assert "2 shards (0 kept), 9 samples" in told.out
    assert (tmp_path / "out" / CHECKSUMS).exists()


def test_a_truncated_frame_fails_its_shard_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    path = root / "focal_stacks/d/frame_01.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:-400])
    assert main(["shards", str(root), "-o", str(tmp_path / "out"), "--split", str(split)]) == 1
    assert "dev-000000.tar" in (err := capsys.readouterr().err) and "d/frame_01.png" in err
    assert [p.name for p in (tmp_path / "out").glob("*.tar")] == ["train-000000.tar"]
    assert not (tmp_path / "out" / CHECKSUMS).exists()
    path.write_bytes(whole)
    assert main(["shards", str(root), "-o", str(tmp_path / "out"), "--split", str(split)]) == 0


def test_only_selects_kinds(tmp_path: Path) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    assert main(["shards", str(root), "-o", str(tmp_path / "out"), "--split", str(split), "--only", "rgbd"]) == 0
    assert {sample.info["group"] for sample in all_samples(tmp_path / "out").values()} == {"rgbd"}


@pytest.mark.parametrize("arguments", [["--shard-mb", "0"], ["--jobs", "0"], ["--split", "no.csv"], []])
def test_usage_errors_exit_with_2(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out" if arguments else tmp_path
    assert main(["shards", str(tmp_path), "-o", str(out), *arguments]) == 2
    assert "expected" in capsys.readouterr().err.lower()


def test_an_empty_folder_gives_an_error_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="mddnet build"):
        plan_shards(tmp_path, lambda location: "train")


# --- hostile shards ---------------------------------------------------------------------------------------------------


def tar_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("/etc/passwd.json", size=1),
        member("../up.json", size=1),
        member("a/../../up.json", size=1),
        member("folder/a.json", size=1),
        member("a\\b.json", size=1),
        member("a..json", size=1),
        member("noextension", size=1),
        member(".json", size=1),
        member("a.json", tarfile.SYMTYPE, link="/etc/passwd"),
        member("a.json", tarfile.LNKTYPE, link="a.sharp.png"),
        member("a.json", tarfile.DIRTYPE),
        member("a.json", tarfile.FIFOTYPE),
        member("a.json", tarfile.CHRTYPE),
    ],
    ids=lambda m: f"{m.name} type {m.type!r}",
)
def test_a_reader_refuses_unsafe_member_names(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    with pytest.raises(CaptureError, match=r"bad\.tar"):
        list(read_shard(tar_with(tmp_path / "bad.tar", bad)))


def test_a_member_of_excessive_size_is_refused(tmp_path: Path) -> None:
    header = member("a.json", size=2**40).tobuf()
    (tmp_path / "bad.tar").write_bytes(header + bytes(1024))
    with pytest.raises(CaptureError, match="expected at most"):
        list(read_shard(tmp_path / "bad.tar"))


def test_a_repeated_member_a_truncated_tar_and_no_tar_are_refused(tmp_path: Path) -> None:
    path = tar_with(tmp_path / "bad.tar", member("a.json", size=1), member("a.json", size=1))
    with pytest.raises(CaptureError, match="twice"):
        list(read_shard(path))
    for content in (b"", b"no tar" * 200, tar_with(tmp_path / "x.tar", member("a.json", size=2000)).read_bytes()[:900]):
        path.write_bytes(content)
        with pytest.raises(CaptureError, match=r"bad\.tar"):
            list(read_shard(path))


def whole_sample(tmp_path: Path) -> dict[str, Any]:
    u = np.random.default_rng(1).random((6, 8), dtype=np.float32)
    tiny_scene(tmp_path / "s", "a", "hall", u, "1/m", u_focus=0.5, kappa_px=10.0)
    list(write_shards(plan_shards(tmp_path / "s", lambda location: "train"), tmp_path / "out"))
    fields: dict[str, Any] = {"__key__": "k"}
    with tarfile.open(tmp_path / "out/train-000000.tar") as tar:
        for item in tar:
            stream = tar.extractfile(item)
            assert stream is not None
            fields[item.name.partition(".")[2]] = stream.read()
    return fields


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def test_a_damaged_sample_is_refused_by_name(tmp_path: Path) -> None:
    good = whole_sample(tmp_path)
    assert decode_sample(good).info["scene"] == "a"
    info = json.loads(good["json"])
    bad: list[tuple[str, Any]] = [
        *((field, None) for field in good if field != "__key__"),
        *((field, b"x") for field in good if field != "__key__"),
        ("json", b"[]"),
        ("json", b"[" * 100_000),
        ("json", json.dumps({**info, "format": 9}).encode()),
        ("json", json.dumps({**info, "licence": None}).encode()),
        ("json", json.dumps({**info, "u_focus": "near"}).encode()),
        ("inv_depth.png", png(np.zeros((6, 8), np.uint16))),
        ("inv_depth.png", good["signed_defocus_px.png"]),
        ("signed_defocus_px.png", good["inv_depth.png"]),
        ("sharp.png", png(np.zeros((5, 8, 3), np.uint8))),
    ]
    for field, value in bad:
        with pytest.raises(CaptureError, match="k: "):
            decode_sample({**good, field: value})


# --- other people's readers -------------------------------------------------------------------------------------------


def test_the_webdataset_library_reads_the_shards(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    root, split = make_scene_root(tmp_path / "scenes")
    out = tmp_path / "out"
    write(root, out, split, shard_bytes=100_000)
    urls = [str(path) for path in sorted(out.glob("train-*.tar"))]
    streamed = {sample.key: sample for sample in webdataset.WebDataset(urls, shardshuffle=False).map(decode_sample)}
    ours = all_samples(out, "train")
    assert streamed.keys() == ours.keys() and len(ours) == 12
    for key, sample in ours.items():
        np.testing.assert_array_equal(streamed[key].signed_defocus_px, sample.signed_defocus_px)
    plain = next(iter(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8", only="sharp.png")))
    assert plain["sharp.png"].dtype == np.uint8 and plain["sharp.png"].shape[2] == 3


def test_the_datasets_library_reads_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    root, split = make_scene_root(tmp_path / "scenes")
    # the first samples, which determine the types of a table, lack lens facts; the last one has them all
    lens = {"focal_mm": 50.0, "f_number": 2.0, "pixel_um": 5.0, "focus_m": "inf"}
    path = root / "focal_stacks/b/scene.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "lens": lens, "measures": {"error": 0.25}}))
    out = tmp_path / "out"
    write(root, out, split, shard_bytes=100_000)
    files = {side: [str(path) for path in sorted(out.glob(f"{side}-*.tar"))] for side in ("train", "dev")}
    loaded = datasets.load_dataset("webdataset", data_files=files, cache_dir=str(tmp_path / "cache"))
    ours = all_samples(out)
    assert len(loaded["train"]) == 12 and len(loaded["dev"]) == 3
    for row in (*loaded["train"], *loaded["dev"]):
        sample = ours[row["__key__"]]
        np.testing.assert_array_equal(np.asarray(row["sharp.png"]), sample.sharp)
        np.testing.assert_array_equal(np.asarray(row["focused.png"]), sample.focused)
        codes, info = np.asarray(row["signed_defocus_px.png"]).astype(np.float64), row["json"]
        values = info["signed_defocus_px_low"] + (codes - 2) * info["signed_defocus_px_step"]
        known = codes > 1
        np.testing.assert_allclose(values[known], sample.signed_defocus_px[known], atol=1e-4)
        codes = np.asarray(row["inv_depth.png"]).astype(np.float64)
        np.testing.assert_allclose(
            (info["inv_depth_low"] + (codes - 2) * info["inv_depth_step"])[known], sample.inv_depth[known], atol=1e-5
        )
        assert info["licence"] == "Apache-2.0" and json.loads(info["lens"]) == read_lens(root, sample)


def read_lens(root: Path, sample: EncodedSample) -> dict[str, Any]:
    return dict(read_scene(root / sample.info["group"] / sample.info["scene"]).lens.to_json())
