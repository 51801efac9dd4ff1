"""Remarks on captures that can be built, but look like a mistake."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.scenes.test_rendered_scene import rgbd_capture

from mddnet.captures.focal_stack import FocusOrder, FramesOnDisk, read_focal_stack
from mddnet.captures.rgbd import list_rgbd
from mddnet.captures.stereo import list_stereo
from mddnet.cli.main import main
from mddnet.scenes.align import Alignment, Similarity, estimate_alignment
from mddnet.scenes.remarks import depth_remarks, order_remarks
from mddnet.scenes.store import read_inv_depth, read_scene

Codes = np.ndarray


def alignment(magnification: list[float]) -> Alignment:
    return Alignment(0, tuple(Similarity(complex(factor), 0j) for factor in magnification), 0.0, 1.0)


@pytest.mark.parametrize("stated", ["near_to_far", "far_to_near", "unknown"])
@pytest.mark.parametrize(
    ("magnification", "measured"),
    [
        ([1.0, 0.98, 0.96, 0.94], "near_to_far"),
        ([1.0, 1.02, 1.04, 1.06], "far_to_near"),
        ([1.0, 1.003, 1.006, 1.012], "unknown"),  # less than a hand moves
        ([1.0, 0.7, 1.4, 1.04], "unknown"),  # no trend
    ],
)
def test_an_order_against_the_magnification(stated: FocusOrder, magnification: list[float], measured: str) -> None:
    remarks = order_remarks(stated, alignment(magnification))
    if "unknown" in (stated, measured) or stated == measured:
        assert remarks == ()
    else:
        assert len(remarks) == 1 and stated in remarks[0] and measured.replace("_", " ") in remarks[0]


@pytest.mark.parametrize("name", ["dslr_laptop", "handheld_sign"])
def test_a_real_stack_in_the_wrong_order(shared_data: Path, name: str) -> None:
    stack = read_focal_stack(shared_data / "captures/focal_stacks" / name)
    measured = estimate_alignment(FramesOnDisk(stack))
    assert stack.focus.direction == "near_to_far" and order_remarks("near_to_far", measured) == ()
    assert len(order_remarks("far_to_near", measured)) == 1


def test_real_depth_has_no_remarks(shared_data: Path) -> None:
    frames = [*list_rgbd(shared_data / "depth/rgbd")[::7], *list_stereo(shared_data / "depth/stereo")]
    for frame in frames:
        notes: list[str] = []
        frame.read_rgb(notes)
        u = frame.read_inv_depth(notes)
        if frame.unit == "1/m":
            notes += depth_remarks(u, stated_mm=frame in list_rgbd(shared_data / "depth/rgbd"))
        assert notes == [], frame.name


MISTAKES: dict[str, tuple[Callable[[Codes], Codes], str]] = {
    "none": (lambda mm: mm, ""),
    "metres": (lambda mm: np.ceil(mm / 1000), "metres or centimetres"),
    "5000ths": (lambda mm: 5 * mm, "5000ths of a metre"),
    "5000ths, resampled": (lambda mm: 5 * mm + np.arange(mm.size).reshape(mm.shape) % 3, "5000ths of a metre"),
    "holes of 65535": (lambda mm: np.where(mm == 0, 65535, mm), "65535: read as unknown"),
    "holes of 8191": (lambda mm: np.where(mm == 0, 8191, mm), "is 8191, the next value is 3000"),
    "flat": (lambda mm: 2000 + mm // 100, "a factor of 1.0"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_depth_in_another_unit_is_built_with_a_remark(
    tmp_path: Path, mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, words = MISTAKES[mistake]
    root = tmp_path / "data/depth/rgbd"
    root.mkdir(parents=True)
    capture = rgbd_capture(root)
    with Image.open(capture.depth) as image:
        mm = np.asarray(image).astype(int)
    Image.fromarray(np.clip(changed(mm), 0, 65535).astype(np.uint16)).save(capture.depth)
    row = "lab,c.png,d.png,mm,CC0,"
    (root / "manifest.csv").write_text(f"source,rgb,depth,depth_unit,licence,note\n{row}\n")
    assert main(["build", str(tmp_path / "data"), "-o", str(tmp_path / "out")]) == 0
    with (tmp_path / "out/build.csv").open(newline="", encoding="utf-8") as stream:
        (scene,) = csv.DictReader(stream)
    record = read_scene(tmp_path / "out/rgbd/lab_c")
    said = capsys.readouterr().out.replace("\n", " ")
    assert scene["remarks"] == " ".join(record.remarks) and len(record.remarks) == bool(words)
    assert words in scene["remarks"] and ("remark: rgbd/lab_c: " in said) == bool(words)
    if mistake == "holes of 65535":
        u = read_inv_depth(tmp_path / "out/rgbd/lab_c/inv_depth.png")
        assert np.isnan(u[mm == 0]).all()
    if mistake == "metres":  # a lens that can focus at 1 mm
        assert record.lens.focal_mm is not None and record.lens.focal_mm < 1
    assert main(["build", str(tmp_path / "data"), "-o", str(tmp_path / "out")]) == 0  # kept with its remarks
    assert ("remark: rgbd/lab_c: " in capsys.readouterr().out) == bool(words)


def test_flat_depth_is_rejected_without_a_name_of_a_python_error(tmp_path: Path) -> None:
    root = tmp_path / "data/depth/rgbd"
    root.mkdir(parents=True)
    for name, depth in (("a", np.full((48, 64), 2000)), ("b", np.zeros((48, 64))), ("c", np.full((48, 64), 65535))):
        Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(root / f"{name}.png")
        Image.fromarray(depth.astype(np.uint16)).save(root / f"{name}_d.png")
    rows = "".join(f"lab,{name}.png,{name}_d.png,mm,CC0,\n" for name in "abc")
    (root / "manifest.csv").write_text("source,rgb,depth,depth_unit,licence,note\n" + rows)
    assert main(["build", str(tmp_path / "data"), "-o", str(tmp_path / "out")]) == 1
    with (tmp_path / "out/rejected.csv").open(newline="", encoding="utf-8") as stream:
        rejected = list(csv.DictReader(stream))
    assert [row["state"] for row in rejected] == 3 * ["rejected"]
    assert all("expected" in row["reason"] and "Error" not in row["reason"] for row in rejected)


def test_notes_of_the_photo_reader_are_remarks(tmp_path: Path) -> None:
    root = tmp_path / "data/photos"
    root.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(root / "clear.png")
    Image.fromarray(pixels[:, :, :3]).save(root / "plain.png")
    (root / "manifest.csv").write_text("file,source,licence\nclear.png,walk,CC0\nplain.png,walk,CC0\n")
    assert main(["build", str(tmp_path / "data"), "-o", str(tmp_path / "out")]) == 0
    remarks = {
        name: json.loads((tmp_path / f"out/photos/walk_{name}/scene.json").read_text())["remarks"]
        for name in ("clear", "plain")
    }
    assert remarks == {"clear": ["Transparent parts were composited over mid grey."], "plain": []}
