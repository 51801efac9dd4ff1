"""The scene store: scenes are restored, and foreign or damaged files are refused by name."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, PngImagePlugin

from mddnet.errors import CaptureError
from mddnet.scenes import store
from mddnet.types import INV_DEPTH_UNITS, FrameRecord, InvDepthUnit, Lens, SceneRecord

maps = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(-1e6, 1e6, width=32) | st.just(math.nan) | st.just(-math.inf),
)


# --- the 16-bit codec -----------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(maps, st.sampled_from(INV_DEPTH_UNITS))
def test_inverse_depth_is_restored_within_half_a_step(tmp_path: Path, u: np.ndarray, unit: InvDepthUnit) -> None:
    path = tmp_path / "inv_depth.png"
    step = store.write_inv_depth(path, u, unit)
    back = store.read_inv_depth(path)
    assert store.read_coded_map(path, "inv_depth", "").unit == unit and back.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(back), np.isnan(u))
    finite = np.isfinite(u)
    rounding = np.spacing(np.abs(u[finite]))
    assert (np.abs(back[finite].astype(np.float64) - u[finite]) <= 0.5000001 * step + rounding).all()
    infinity = np.isneginf(u)
    if infinity.any():
        lowest = 0.0 if unit == "1/m" or not finite.any() else u[finite].min()
        np.testing.assert_allclose(back[infinity], lowest, rtol=1e-6)


def test_codes_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "u.png"
    u = np.array([[0.0, 65533.0], [np.nan, -np.inf]], dtype=np.float32)
    assert store.write_inv_depth(path, u, "relative") == 1.0
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), [[2, 65535], [0, 1]])
        text = json.loads(image.info["mddnet"])
    assert text == {"quantity": "inv_depth", "unit": "relative", "low": 0.0, "step": 1.0}


def test_a_constant_and_an_unknown_map(tmp_path: Path) -> None:
    path = tmp_path / "u.png"
    for value in (0.37, np.nan):
        u = np.full((3, 4), value, dtype=np.float32)
        store.write_inv_depth(path, u, "1/m")
        np.testing.assert_allclose(store.read_inv_depth(path), u)


@pytest.mark.parametrize(
    ("u", "unit", "named"),
    [
        (np.zeros((2, 2, 1)), "1/m", r"\(2, 2, 1\)"),
        (np.zeros((2, 2)), "metres", "'metres'"),
        (np.array([[np.inf]]), "1/m", r"\+inf"),
    ],
)
def test_write_refuses(tmp_path: Path, u: np.ndarray, unit: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        store.write_inv_depth(tmp_path / "u.png", u, unit)
    assert not list(tmp_path.iterdir())


def png_with(path: Path, pixels: np.ndarray, text: str | None) -> Path:
    info = PngImagePlugin.PngInfo()
    if text is not None:
        info.add_text("mddnet", text)
    Image.fromarray(pixels).save(path, pnginfo=info)
    return path


GOOD_TEXT = '{"unit": "1/m", "low": 0, "step": 0.5}'


@pytest.mark.parametrize(
    ("pixels", "text"),
    [
        (np.zeros((2, 2), np.uint16), None),
        (np.zeros((2, 2), np.uint16), "not json"),
        (np.zeros((2, 2), np.uint16), "null"),
        (np.zeros((2, 2), np.uint16), "[]"),
        (np.zeros((2, 2), np.uint16), '{"unit": "1/m", "low": 0}'),
        (np.zeros((2, 2), np.uint16), '{"unit": "furlong", "low": 0, "step": 1}'),
        (np.zeros((2, 2), np.uint16), '{"unit": ["1/m"], "low": 0, "step": 1}'),
        (np.zeros((2, 2), np.uint16), '{"unit": "1/m", "low": NaN, "step": 1}'),
        (np.zeros((2, 2), np.uint16), '{"unit": "1/m", "low": 0, "step": Infinity}'),
        (np.zeros((2, 2), np.uint16), '{"unit": "1/m", "low": 0, "step": -1}'),
        (np.zeros((2, 2), np.uint16), "[" * 100_000),
        (np.zeros((2, 2, 3), np.uint8), GOOD_TEXT),
        (np.zeros((2, 2), np.uint8), GOOD_TEXT),  # 8-bit codes: somebody saved it again
    ],
)
def test_a_foreign_png_is_refused_by_name(tmp_path: Path, pixels: np.ndarray, text: str | None) -> None:
    path = png_with(tmp_path / "u.png", pixels, text)
    with pytest.raises(CaptureError, match=r"u\.png"):
        store.read_inv_depth(path)


def test_the_good_text_is_good(tmp_path: Path) -> None:
    path = png_with(tmp_path / "u.png", np.full((2, 2), 4, np.uint16), GOOD_TEXT)
    assert (store.read_inv_depth(path) == 1.0).all()


def test_missing_truncated_and_huge_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "u.png"
    for reader in (store.read_inv_depth, store.read_image):
        with pytest.raises(CaptureError, match=r"u\.png"):
            reader(path)
    store.write_inv_depth(path, np.random.default_rng(0).random((64, 64), dtype=np.float32), "1/m")
    content = path.read_bytes()
    for cut in (0, 20, len(content) // 2):
        path.write_bytes(content[:cut])
        for reader in (store.read_inv_depth, store.read_image):
            with pytest.raises(CaptureError, match=r"u\.png"):
                reader(path)
    path.write_bytes(content)
    monkeypatch.setenv("MDDNET_MAX_MEGAPIXELS", "0.001")
    for reader in (store.read_inv_depth, store.read_image):
        with pytest.raises(CaptureError, match=r"u\.png"):
            reader(path)


# --- images ---------------------------------------------------------------------------------------------------------


def test_png_is_exact_and_jpeg_is_close(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 32, dtype=np.uint8)
    image = np.stack([np.tile(ramp, (32, 1)), np.tile(ramp[:, None], (1, 32)), np.full((32, 32), 90, np.uint8)], axis=2)
    store.write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(store.read_image(tmp_path / "a.png"), image)
    store.write_image(tmp_path / "a.jpg", image)
    assert np.abs(store.read_image(tmp_path / "a.jpg").astype(int) - image).mean() < 2


def test_a_grey_image_is_read_with_three_channels(tmp_path: Path) -> None:
    store.write_image(tmp_path / "a.png", np.full((2, 3), 7, np.uint8))
    np.testing.assert_array_equal(store.read_image(tmp_path / "a.png"), np.full((2, 3, 3), 7))


def test_a_failed_write_leaves_only_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(stream: Any) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.atomic_write(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_follow_the_umask(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    store.atomic_write(tmp_path / "ours", lambda stream: stream.write(b""))
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


# --- scene.json -----------------------------------------------------------------------------------------------------

SCENE = SceneRecord(
    name="cup",
    location="kitchen",
    capture="focal_stack",
    source="made by a test",
    licence="CC0-1.0",
    provenance="real",
    unit="relative",
    frames=[FrameRecord("frame_00.jpg", 1.0, 12.5), FrameRecord("frame_01.jpg", 0.0, 12.5)],
    sharp="sharp.png",
    inv_depth="inv_depth.png",
    confidence="confidence.png",
    lens=Lens(focal_mm=4.3, f_number=1.9, focus_m=math.inf),
    measures={"rerender_error": 0.012},
)


def test_a_scene_is_restored(tmp_path: Path) -> None:
    store.write_scene_json(tmp_path, SCENE)
    assert store.read_scene(tmp_path) == SCENE


def test_a_scene_without_optional_parts_is_restored(tmp_path: Path) -> None:
    bare = SceneRecord("n", "p", "rgbd", "s", "l", "rendered", "1/m", [], "sharp.jpg", "inv_depth.png")
    store.write_scene_json(tmp_path, bare)
    assert store.read_scene(tmp_path) == bare


def test_json_is_strict(tmp_path: Path) -> None:
    store.write_scene_json(tmp_path, SCENE)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    json.loads((tmp_path / "scene.json").read_text(), parse_constant=refuse)


def damaged(tmp_path: Path, **changes: Any) -> Path:
    store.write_scene_json(tmp_path, SCENE)
    data = json.loads((tmp_path / "scene.json").read_text())
    for key, value in changes.items():
        if value is KeyError:
            del data[key]
        else:
            data[key] = value
    (tmp_path / "scene.json").write_text(json.dumps(data))
    return tmp_path


HOSTILE_NAMES = ["../secret.png", "/etc/passwd", "a/b.png", "..", ".", "", "a\\b.png", "a\0b.png", 3, None, ["a.png"]]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_file_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: Any) -> None:
    hostile = [
        {"sharp": name},
        {"inv_depth": name},
        {"frames": [{"file": name, "u_focus": 0, "kappa_px": 1}]},
        *([] if name is None else [{"confidence": name}]),
    ]
    for changes in hostile:
        with pytest.raises(CaptureError, match="plain name"):
            store.read_scene(damaged(tmp_path, **changes))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, KeyError) for key in ("format", "name", "place", "unit", "frames", "sharp", "inv_depth", "provenance")),
        ("format", 99),
        ("unit", "metres"),
        ("unit", ["1/m"]),
        ("provenance", "dreamt"),
        ("frames", None),
        ("frames", 3),
        ("frames", ["frame_00.jpg"]),
        ("frames", [{"file": "a.jpg"}]),
        ("frames", [{"file": "a.jpg", "u_focus": "near", "kappa_px": 1}]),
        ("frames", [{"file": "a.jpg", "u_focus": math.nan, "kappa_px": 1}]),
        ("frames", [{"file": "a.jpg", "u_focus": 0, "kappa_px": -1}]),
        ("frames", [{"file": "a.jpg", "u_focus": 0, "kappa_px": math.inf}]),
        ("lens", {"zoom": 3}),
        ("lens", {"focal_mm": -3}),
        ("lens", [1]),
        ("measures", {"error": "small"}),
        ("measures", 3),
    ],
)
def test_a_damaged_scene_is_refused_by_name(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(CaptureError, match=r"scene\.json"):
        store.read_scene(damaged(tmp_path, **{key: value}))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000])
def test_an_invalid_scene_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "scene.json").write_bytes(content)
    with pytest.raises(CaptureError, match=r"scene\.json"):
        store.read_scene(tmp_path)


def test_a_missing_scene_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"scene\.json"):
        store.read_scene(tmp_path)


def test_scenes_are_listed_by_name_one_or_two_levels_down(tmp_path: Path) -> None:
    for name in ("b", "a", "group/c"):
        (tmp_path / name).mkdir(parents=True)
        store.write_scene_json(tmp_path / name, SCENE)
    (tmp_path / "half_built").mkdir()
    assert store.list_scenes(tmp_path) == [tmp_path / "a", tmp_path / "b", tmp_path / "group" / "c"]


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="mddnet build"):
        store.list_scenes(tmp_path)
