from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import mddnet.scenes.focal_stack_scene as stack_module
from mddnet.cli.main import main
from mddnet.data.split import read_split, split_of
from mddnet.errors import CaptureError, OutputError, RejectedScene
from mddnet.io.folder_lock import KERNEL_LOCKS
from mddnet.kinds import KINDS
from mddnet.scenes.build import BUILT_FROM, build_scenes, digest_of_scene, task_digest
from mddnet.scenes.build_tables import write_tables
from mddnet.scenes.plan import BuildRow, plan_build
from mddnet.scenes.scratch import SCRATCH, build_scratch
from mddnet.scenes.store import read_scene, write_image, write_inv_depth, write_scene_json
from mddnet.types import FrameRecord, SceneRecord


def picture(seed: int, height: int = 72, width: int = 96) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 6, width // 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_photos(root: Path, count: int = 3) -> None:
    (root / "photos").mkdir(parents=True)
    lines = ["file,source,licence"]
    for i in range(count):
        Image.fromarray(picture(i)).save(root / "photos" / f"p{i}.jpg", quality=95)
        lines.append(f"photos/p{i}.jpg,made,none")
    (root / "photos" / "manifest.csv").write_text("\n".join(lines) + "\n")


def write_capture(root: Path, name: str, location: str = "room", kind: str = "focal_stack") -> Path:
    folder = root / "captures" / f"{kind}s" / name
    folder.mkdir(parents=True)
    (folder / "capture.json").write_text(json.dumps({"kind": kind, "scene": name, "place": location}))
    return folder


def whole_scene(folder: Path, out_root: Path) -> SceneRecord:
    """Stands in for a builder of real captures, which take long."""
    target = out_root / folder.name
    target.mkdir()
    location = json.loads((folder / "capture.json").read_text())["place"]
    write_image(target / "sharp.jpg", picture(1))
    write_image(target / "frame_00.jpg", picture(2))
    write_inv_depth(target / "inv_depth.png", np.linspace(0, 1, 96, dtype=np.float32)[None].repeat(72, 0), "relative")
    record = SceneRecord(
        name=folder.name,
        location=location,
        capture="focal_stack",
        source="a test",
        licence="none",
        provenance="real",
        unit="relative",
        frames=[FrameRecord("frame_00.jpg", 0.5, 12.0)],
        sharp="sharp.jpg",
        inv_depth="inv_depth.png",
        measures={"rerender_error_fraction": 0.41, "unknown_share": 0.125},
    )
    write_scene_json(target, record)
    return record


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path, Path], SceneRecord]], None]:
    def replace_by(builder: Callable[[Path, Path], SceneRecord]) -> None:
        monkeypatch.setattr(stack_module, "build_focal_stack_scene", builder)

    replace_by(whole_scene)
    return replace_by


def build(source: Path, out: Path, **settings: Any) -> list[BuildRow]:
    return list(build_scenes(plan_build([source]), out, **settings))


def states(rows: list[BuildRow]) -> dict[str, str]:
    return {row.name: row.state for row in rows}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# --- what a source holds ----------------------------------------------------------------------------------------------


def test_a_data_root_is_searched_for_every_kind(tmp_path: Path) -> None:
    write_photos(tmp_path)
    write_capture(tmp_path, "stack")
    write_capture(tmp_path, "field", kind="light_field")
    plan = plan_build([tmp_path])
    assert not plan.failures
    assert [(task.kind, task.name) for task in plan.tasks] == [
        ("focal_stacks", "stack"),
        ("light_fields", "field"),
        ("photos", "made_p0"),
        ("photos", "made_p1"),
        ("photos", "made_p2"),
    ]
    assert len(plan_build([tmp_path], limit=1).tasks) == 3
    assert [task.kind for task in plan_build([tmp_path], ["light_fields"]).tasks] == ["light_fields"]


def test_a_capture_folder_is_a_source(tmp_path: Path) -> None:
    plan = plan_build([write_capture(tmp_path, "stack", location="hall")])
    assert [(task.kind, task.name, task.location) for task in plan.tasks] == [("focal_stacks", "stack", "hall")]


def test_invalid_captures_are_reported_and_others_planned(tmp_path: Path) -> None:
    write_photos(tmp_path / "a")
    (tmp_path / "a/photos/manifest.csv").write_text("file,source\n")
    (write_capture(tmp_path / "a", "broken") / "capture.json").write_text("{")
    (tmp_path / "a/captures/focal_stacks/empty").mkdir()
    write_capture(tmp_path / "a", "good")
    write_capture(tmp_path / "a", "tilt", kind="hologram")
    write_capture(tmp_path / "b", "good")
    plan = plan_build([tmp_path / "a", tmp_path / "b", tmp_path / "nowhere"])
    assert [task.name for task in plan.tasks] == ["good"]
    reasons = {row.name: row.reason for row in plan.failures if row.name != "good"}
    assert set(reasons) == {"broken", "empty", "tilt", "manifest.csv", "nowhere"}
    assert "capture.json: not readable" in reasons["broken"]
    assert "no capture.json" in reasons["empty"]
    assert "kind is 'hologram'; expected one of focal_stack, light_field" in reasons["tilt"]
    assert "licence" in reasons["manifest.csv"]
    assert "no captures" in reasons["nowhere"]
    assert "name good is used" in next(row.reason for row in plan.failures if row.name == "good")


# --- building, going on, building again -------------------------------------------------------------------------------


def test_real_photos_give_complete_scenes_that_are_kept(tmp_path: Path) -> None:
    write_photos(tmp_path / "data")
    rows = build(tmp_path / "data", tmp_path / "out")
    assert states(rows) == {f"made_p{i}": "built" for i in range(3)}
    record = read_scene(tmp_path / "out/photos/made_p1")
    assert record.location == "photos/made" and len(record.frames) == 3
    assert not (tmp_path / "out" / SCRATCH).exists()
    assert set(states(build(tmp_path / "data", tmp_path / "out")).values()) == {"kept"}


@pytest.mark.slow
def test_two_processes_build_the_same_bytes_as_one(tmp_path: Path) -> None:
    write_photos(tmp_path / "data")
    build(tmp_path / "data", tmp_path / "one")
    build(tmp_path / "data", tmp_path / "two", jobs=2)
    first, second = (
        {p.relative_to(tmp_path / r).as_posix(): p.read_bytes() for p in (tmp_path / r).rglob("*.jpg")}
        for r in ("one", "two")
    )
    assert len(first) == 12
    assert first == second


def test_a_changed_capture_or_setting_is_rebuilt(tmp_path: Path) -> None:
    write_photos(tmp_path / "data")
    build(tmp_path / "data", tmp_path / "out")
    assert set(states(build(tmp_path / "data", tmp_path / "out", frames=2)).values()) == {"built"}
    assert len(read_scene(tmp_path / "out/photos/made_p0").frames) == 2
    tasks = plan_build([tmp_path / "data"]).tasks
    changed = next(t for t in tasks if t.name == "made_p0")
    untouched = [t.name for t in tasks if changed.files[0] not in t.files]
    Image.fromarray(picture(9)).save(changed.files[0], quality=95)
    again = states(build(tmp_path / "data", tmp_path / "out", frames=2))
    assert again["made_p0"] == "built"
    assert all(again[name] == "kept" for name in untouched)
    assert set(states(build(tmp_path / "data", tmp_path / "out", frames=2, rebuild=True)).values()) == {"built"}


def test_the_digest_covers_content_and_settings(tmp_path: Path) -> None:
    write_photos(tmp_path)
    task = plan_build([tmp_path]).tasks[0]
    assert task_digest(task, None, 0) == task_digest(task, None, 0)
    assert len({task_digest(task, None, 0), task_digest(task, 2, 0), task_digest(task, None, 1)}) == 3


@pytest.mark.usefixtures("stand_in")
def test_a_scene_without_digest_is_rebuilt(tmp_path: Path) -> None:
    write_capture(tmp_path / "data", "stack")
    build(tmp_path / "data", tmp_path / "out")
    scene = tmp_path / "out/focal_stacks/stack"
    assert digest_of_scene(scene) is not None
    (scene / BUILT_FROM).write_text("[]")
    assert digest_of_scene(scene) is None
    assert states(build(tmp_path / "data", tmp_path / "out")) == {"stack": "built"}
    (scene / "scene.json").unlink()
    assert states(build(tmp_path / "data", tmp_path / "out")) == {"stack": "built"}


def test_errors_of_one_capture_do_not_stop_the_others(tmp_path: Path, stand_in: Any) -> None:
    for name in ("bug", "damaged", "flat", "good"):
        write_capture(tmp_path / "data", name)

    def builder(folder: Path, out_root: Path) -> SceneRecord:
        (out_root / "half").mkdir()
        if folder.name == "bug":
            raise ZeroDivisionError("a fault")
        if folder.name == "damaged":
            raise CaptureError("frame_03.jpg: damaged")
        if folder.name == "flat":
            raise RejectedScene("blur explains 0.97, expected <= 0.9")
        return whole_scene(folder, out_root)

    stand_in(builder)
    rows = build(tmp_path / "data", tmp_path / "out")
    assert states(rows) == {"bug": "failed", "damaged": "failed", "flat": "rejected", "good": "built"}
    reasons = {row.name: row.reason for row in rows}
    assert "ZeroDivisionError: a fault" in reasons["bug"] and "bug" in reasons["bug"].split(":")[0]
    assert reasons["flat"] == "blur explains 0.97, expected <= 0.9"
    assert [p.name for p in (tmp_path / "out/focal_stacks").iterdir()] == ["good"]


def test_a_rejected_capture_is_tried_again(tmp_path: Path, stand_in: Any) -> None:
    write_capture(tmp_path / "data", "flat")

    def builder(folder: Path, out_root: Path) -> SceneRecord:
        raise RejectedScene("too flat, 0.97")

    stand_in(builder)
    rows = build(tmp_path / "data", tmp_path / "out")
    write_tables(tmp_path / "out", rows, lambda location: "dev")
    stand_in(whole_scene)
    rows = build(tmp_path / "data", tmp_path / "out")
    write_tables(tmp_path / "out", rows, lambda location: "dev")
    assert states(rows) == {"flat": "built"}
    assert table(tmp_path / "out/rejected.csv") == []


def test_a_capture_that_is_now_rejected_loses_its_scene(tmp_path: Path, stand_in: Any) -> None:
    capture = write_capture(tmp_path / "data", "stack")
    build(tmp_path / "data", tmp_path / "out")
    (capture / "frame_00.jpg").write_bytes(b"new")

    def builder(folder: Path, out_root: Path) -> SceneRecord:
        raise RejectedScene("blur explains too little")

    stand_in(builder)
    assert states(build(tmp_path / "data", tmp_path / "out")) == {"stack": "rejected"}
    assert not (tmp_path / "out/focal_stacks/stack").exists()


# --- killed, interrupted, two at once ---------------------------------------------------------------------------------

KILLED_BUILD = """
import os, signal, sys
from pathlib import Path
import mddnet.scenes.build as build
import mddnet.scenes.rendered_scene as rendered
from mddnet.scenes.plan import plan_build
whole = rendered.build_photo_scene
def killed(photo, out_root, *rest):
    if photo.name == "made_p1":
        (out_root / "made_p1").mkdir()
        (out_root / "made_p1" / "scene.json").write_text("{}")
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(photo, out_root, *rest)
rendered.build_photo_scene = killed
for row in build.build_scenes(plan_build([Path(sys.argv[1])]), Path(sys.argv[2])):
    print(row.name, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_a_killed_build_leaves_no_partial_scene_and_the_next_resumes(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_photos(data)
    run = subprocess.run(
        [sys.executable, "-c", KILLED_BUILD, str(data), str(out)], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert run.stdout.split() == ["made_p0"]
    assert sorted(p.name for p in (out / "photos").iterdir()) == ["made_p0"]
    assert list((out / SCRATCH).rglob("scene.json")), "the half scene lies where no reader looks"
    assert states(build(data, out)) == {"made_p0": "kept", "made_p1": "built", "made_p2": "built"}
    assert not (out / SCRATCH).exists()


INTERRUPTED_BUILD = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts its background jobs without it
import mddnet.scenes.rendered_scene as rendered
from mddnet.cli.main import main
def slow(photo, out_root, *rest):
    print("started", flush=True)
    time.sleep(120)
rendered.build_photo_scene = slow
sys.exit(main(["build", sys.argv[1], "-o", sys.argv[2]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no SIGINT on Windows")
def test_ctrl_c_ends_cleanly(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_photos(data)
    run = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED_BUILD, str(data), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline().strip() == "started"
    time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert not (out / SCRATCH).exists()


@pytest.mark.skipif(not KERNEL_LOCKS, reason="no file locks here")
def test_a_second_build_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    with build_scratch(tmp_path / "out"), pytest.raises(OutputError, match="another process"):
        build_scratch(tmp_path / "out").__enter__()
    with build_scratch(tmp_path / "out") as scratch:
        assert scratch.is_dir()


def test_a_folder_that_is_not_writable_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot build there"):
        build_scratch(tmp_path / "file" / "out").__enter__()


# --- the tables and the command ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("stand_in")
def test_the_tables_list_scenes_and_rejections(tmp_path: Path, stand_in: Any) -> None:
    for name in ("bad", "good"):
        write_capture(tmp_path / "data", name, location=f"place_{name}")

    def builder(folder: Path, out_root: Path) -> SceneRecord:
        if folder.name == "bad":
            raise RejectedScene("error 0.97, expected <= 0.9")
        return whole_scene(folder, out_root)

    stand_in(builder)
    sides = {"place_bad": "dev", "place_good": "train"}
    write_tables(tmp_path / "out", build(tmp_path / "data", tmp_path / "out"), lambda location: sides.get(location, ""))
    (made,) = table(tmp_path / "out/build.csv")
    assert (made["group"], made["scene"], made["split"], made["unit"]) == ("focal_stacks", "good", "train", "relative")
    assert (made["frames"], made["kappa_px_low"], made["rerender_error_fraction"]) == ("1", "12", "0.41")
    assert json.loads(made["measures"]) == {"rerender_error_fraction": 0.41, "unknown_share": 0.125}
    (lost,) = table(tmp_path / "out/rejected.csv")
    assert (lost["scene"], lost["split"], lost["state"]) == ("bad", "dev", "rejected")
    assert lost["reason"] == "error 0.97, expected <= 0.9"


@pytest.mark.usefixtures("stand_in")
def test_rows_of_other_captures_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_capture(tmp_path / "a", "one")
    write_tables(out, build(tmp_path / "a", out), lambda location: "")
    missing = BuildRow("focal_stacks", "gone", "", "failed", "no such thing")
    write_tables(out, [missing], lambda location: "")
    write_capture(tmp_path / "b", "two")
    write_tables(out, build(tmp_path / "b", out), lambda location: "")
    assert [row["scene"] for row in table(out / "build.csv")] == ["one", "two"]
    assert [row["scene"] for row in table(out / "rejected.csv")] == ["gone"]


@pytest.mark.usefixtures("stand_in")
def test_the_command_exits_with_1_if_a_capture_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_photos(data, 2)
    write_capture(data, "stack", location="hall")
    (data / "split.csv").write_text("place,split\nhall,dev\n")
    assert main(["build", str(data), "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert "stack" in text and "0.41" in text and "12%" in text and "dev" in text
    assert {row["scene"]: row["split"] for row in table(out / "build.csv")} == {
        "stack": "dev",
        "made_p0": "train",
        "made_p1": "train",
    }
    assert main(["build", str(data), str(tmp_path / "nowhere"), "-o", str(out), "--only", "focal_stacks"]) == 1
    text = capsys.readouterr().out
    assert "nowhere: no captures" in text.replace("\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--jobs", "0"],
        ["--frames", "0"],
        ["--limit", "-1"],
        ["--only", "holograms"],
        ["--split", "no/such.csv"],
        ["--jobs", "many"],
        ["--unknown"],
    ],
)
def test_usage_errors_exit_with_2(tmp_path: Path, arguments: list[str]) -> None:
    assert main(["build", str(tmp_path), "-o", str(tmp_path / "out"), *arguments]) == 2
    assert not (tmp_path / "out").exists()


def test_a_folder_without_captures_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(tmp_path), "-o", str(tmp_path / "out")]) == 1
    assert "no captures" in capsys.readouterr().out


def test_every_real_capture_is_listed(shared_data: Path) -> None:
    plan = plan_build([shared_data])
    assert not plan.failures
    expected = dict.fromkeys(KINDS, 0)
    kind_of_capture = {kind.capture: kind.name for kind in KINDS.values()}
    for path in (shared_data / "captures").glob("*/*/capture.json"):
        expected[kind_of_capture[json.loads(path.read_text(encoding="utf-8"))["kind"]]] += 1
    for group, manifest in (
        ("rgbd", "depth/rgbd"),
        ("stereo", "depth/stereo"),
        ("multiview", "depth/multiview"),
        ("photos", "photos"),
    ):
        with (shared_data / manifest / "manifest.csv").open(newline="", encoding="utf-8") as stream:
            expected[group] = sum(1 for _ in csv.DictReader(stream))
    assert {kind: sum(task.kind == kind for task in plan.tasks) for kind in KINDS} == expected
    # each has a split; other folders are ignored
    locations = read_split(shared_data / "split.csv")
    assert {split_of(task.location, locations) for task in plan.tasks} == {"train", "dev"}
    folders = {file.relative_to(shared_data).parts[0] for task in plan.tasks for file in task.files}
    assert folders == {"captures", "depth", "photos"}
