"""What the fuzzing found, each as a few bytes made here: every one of these once was a crash, a hang, or worse."""

from __future__ import annotations

import io
import json
import math
import struct
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.photo.test_maker_notes import canon_exif, jpeg
from tests.support.fuzz.captures import _all_in_3d as write_all_in_3d
from tests.support.fuzz.captures import npy
from tests.support.fuzz.photos import png_with

from mddnet.captures.all_in_3d import list_all_in_3d
from mddnet.captures.rgbd import list_rgbd
from mddnet.captures.stereo import list_stereo, parse_calibration
from mddnet.config import load_recipe
from mddnet.errors import CaptureError, ImageError, MddnetError, ModelError, RecipeError
from mddnet.evaluate.datasets.files import inv_depth_from_depth_m, read_pfm
from mddnet.photo.image_file import SizedFile
from mddnet.photo.lens_facts import lens_of_tags
from mddnet.photo.maker_notes import focus_of_maker_tags, maker_focus_m
from mddnet.photo.reader import read_photo
from mddnet.photo.video import frame_count, sampled_frames, video_frames
from mddnet.predict.model_dir import open_model_dir
from mddnet.predict.output import read_facts
from mddnet.scenes.shards import read_shard
from mddnet.scenes.store import read_inv_depth, read_scene

GREY = np.full((40, 48, 3), 90, np.uint8)


# --- photos -----------------------------------------------------------------------------------------------------------


def test_a_chunk_that_says_it_has_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    png = png_with([])
    at = png.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(png[:at] + struct.pack(">I", 2**31 - 1) + png[at + 4 :])
    with SizedFile(tmp_path / "a.png") as stream:
        assert len(stream.read(2**62)) == len(png) and stream.read(2**62) == b""
        stream.seek(10**12)
        assert stream.read(5) == b""
    assert read_photo(tmp_path / "a.png").pixels.shape == (40, 56, 3)  # its pixels are all there


def test_a_note_is_never_as_long_as_a_tag() -> None:
    notes: list[str] = []
    lens = lens_of_tags({0x920A: "x" * 60_000, 0x829D: ("a", "b"), 0x9206: (1, 2, 3)}, 480, 400, None, notes)
    assert lens.focal_mm is None and notes and max(map(len, notes)) < 200


def test_values_of_makers_notes_that_are_no_distance() -> None:
    for value in (10**400, -math.inf, math.nan, "9" * 50, b"\xff", [[1]]):
        assert focus_of_maker_tags({"MakerNote Object Distance": SimpleNamespace(values=[value])}) is None


def test_a_count_of_four_billion_values_does_not_keep_the_reader(tmp_path: Path) -> None:
    pytest.importorskip("exifread", reason="maker notes need the extra formats")
    exif = canon_exif(152)
    entry = struct.pack("<HHI", 0x927C, 7, len(exif))[:4]
    at = exif.index(entry)
    endless = exif[: at + 4] + struct.pack("<I", 2**31) + exif[at + 8 :]
    started = time.monotonic()
    assert maker_focus_m(jpeg(tmp_path / "a.jpg", endless)) is None
    assert time.monotonic() - started < 30
    assert read_photo(tmp_path / "a.jpg").pixels.shape == (48, 64, 3)


def test_tiff_tags_of_other_types_and_memory_without_end(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "a.tif"
    Image.fromarray(GREY).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<HH", 258, 3))  # BitsPerSample becomes a text
    content[at + 2 : at + 4] = struct.pack("<H", 2)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.tif"):
        read_photo(path)
    tifffile.imwrite(path, (GREY / 255).astype(np.float32), photometric="rgb", tile=(16, 16))
    content = bytearray(path.read_bytes())
    for tag in (322, 323):  # tiles of 2^18 x 2^18 px
        at = content.index(struct.pack("<H", tag), 8)
        kind = struct.unpack_from("<H", content, at + 2)[0]
        content[at + 2 : at + 12] = struct.pack("<HII", 4, 1, 2**18) if kind in (3, 4) else content[at + 2 : at + 12]
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.tif"):
        read_photo(path)


def test_a_raw_file_of_a_sensor_without_colours(tmp_path: Path) -> None:
    pytest.importorskip("rawpy", reason="camera raw files need the extra formats")
    pytest.importorskip("exifread", reason="camera raw files need the extra formats")
    from tests.photo.test_formats import made_dng

    made_dng(tmp_path / "a.dng")
    content = (tmp_path / "a.dng").read_bytes()
    at = content.index(struct.pack("<HH", 262, 3))  # PhotometricInterpretation: LinearRaw
    (tmp_path / "a.dng").write_bytes(content[: at + 8] + struct.pack("<H", 34892) + content[at + 10 :])
    assert read_photo(tmp_path / "a.dng").pixels.shape == (96, 128, 3)


def test_an_image_of_three_sides(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(GREY).save(stream, "IM")
    (tmp_path / "a.im").write_bytes(stream.getvalue().replace(b"48*40", b"48*40*40"))
    with pytest.raises(ImageError, match=r"a\.im"):
        read_photo(tmp_path / "a.im")


def test_videos_that_ffmpeg_has_words_of_its_own_for(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need the extra formats")
    from tests.photo.test_video import frame, write_video

    write_video(tmp_path / "a.mp4", [frame(k) for k in range(4)])
    content = (tmp_path / "a.mp4").read_bytes()
    for old, new in ((b"mp4v", b"zzzz"), (b"vide", b"zzzz"), (b"stsd", b"zzzz"), (b"isom", b"\xff" * 4)):
        (tmp_path / "b.mp4").write_bytes(content.replace(old, new))
        for read in (frame_count, lambda path: list(video_frames(path)), lambda path: list(sampled_frames(path, 2))):
            try:
                read(tmp_path / "b.mp4")
            except ImageError as error:
                assert "b.mp4" in str(error)


# --- captures ---------------------------------------------------------------------------------------------------------


def test_a_row_that_ends_early(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("source,rgb,depth,depth_unit,licence,note\nlab,a.jpg\n")
    with pytest.raises(CaptureError, match=r"manifest\.csv, line 2: .*column depth\b"):
        list_rgbd(tmp_path)
    (tmp_path / "manifest.csv").write_text("source,scene,files,kind,calibration,licence,note\nlab\n")
    with pytest.raises(CaptureError, match=r"line 2: .*column scene\b"):
        list_stereo(tmp_path)


@pytest.mark.parametrize("name", ["x" * 400, "a/" + "x" * 400 + "/b", "a\0b"])
def test_a_name_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"source,rgb,depth,depth_unit,licence,note\nlab,{name},{name},mm,CC0,\n")
    with pytest.raises(CaptureError, match=r"manifest\.csv, line 2: file .*path below"):
        list_rgbd(tmp_path)


@pytest.mark.parametrize(
    "text", ["Z_mm=0*3740/(3*d+200)", "Z_mm=160*3740/(0*d+200)", f"Z_mm=160*{'9' * 400}/(3*d+200)"]
)
def test_a_calibration_that_divides_by_nothing(text: str) -> None:
    assert parse_calibration(text) is None


@pytest.mark.parametrize(
    ("facts", "depths"),
    [
        ({"focal_mm": 5e-324}, None),
        ({"focal_mm": 10**400}, None),
        ({"offset_change_mm": 1e308}, [1e300] * 31),
        ({}, [1e17] * 31),
        ({}, [math.inf] * 31),
    ],
)
def test_focus_depths_of_no_lens(tmp_path: Path, facts: dict[str, Any], depths: list[float] | None) -> None:
    write_all_in_3d(tmp_path)
    (tmp_path / "all_in_3d.json").write_text(json.dumps(facts))
    if depths is not None:
        (tmp_path / "fd/1/fd.npy").write_bytes(npy(np.array(depths)))
    try:
        scenes = list_all_in_3d(tmp_path)
        z_m = scenes[0].read_focus_z_m()
    except CaptureError as error:
        assert str(tmp_path) in str(error) or "offset_change_mm" in str(error)
    else:
        assert np.isfinite(z_m).all() and (z_m > 0).all()


@pytest.mark.parametrize(
    "header", ["{'descr': '<f8',\0 'shape': (31,)", "((" * 2000, "0o" * 4000, "{'descr': '|O'}", "L" * 9000]
)
def test_a_header_that_numpy_would_take_apart_for_minutes(tmp_path: Path, header: str) -> None:
    write_all_in_3d(tmp_path)
    text = header.encode() + b"\n"
    start = b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text
    (tmp_path / "fd/1/fd.npy").write_bytes(start + bytes(8 * 31))
    (scene,) = list_all_in_3d(tmp_path)
    started = time.monotonic()
    with pytest.raises(CaptureError, match=r"fd\.npy: not .*array"):
        scene.read_focus_z_m()
    assert time.monotonic() - started < 5


def test_a_depth_beyond_float32_is_unknown(tmp_path: Path) -> None:
    write_all_in_3d(tmp_path)
    depth = np.full((36, 40), 800.0)
    depth[0, 0], depth[0, 1] = 1e300, 1e-300
    (tmp_path / "depth/1/depth.npy").write_bytes(npy(depth))
    (scene,) = list_all_in_3d(tmp_path)
    assert np.isnan(scene.read_depth_m((36, 40, 3))[0, :2]).all()


# --- what was stored --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [{"low": 10**400}, {"low": 1e38}, {"step": 1e308}, {"unit": ["1/m"]}, {"low": None}])
def test_a_scale_beyond_any_depth(tmp_path: Path, scale: dict[str, Any]) -> None:
    text = {"quantity": "inv_depth", "unit": "1/m", "low": 0.1, "step": 1e-5} | scale
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("mddnet", json.dumps(text))
    Image.fromarray(np.full((4, 4), 65535, np.uint16)).save(tmp_path / "u.png", pnginfo=info)
    with pytest.raises(CaptureError, match=r"u\.png"):
        read_inv_depth(tmp_path / "u.png")


@pytest.mark.parametrize(
    "change", [{"frames": [{"file": "a", "u_focus": 10**400, "kappa_px": 1}]}, {"lens": {"focal_mm": 10**400}}]
)
def test_a_scene_with_numbers_beyond_any_float(tmp_path: Path, change: dict[str, Any]) -> None:
    names = ("name", "place", "capture", "source", "licence", "sharp", "inv_depth")
    scene = {name: name for name in names} | {"format": 1, "provenance": "real", "unit": "1/m", "frames": []} | change
    (tmp_path / "scene.json").write_text(json.dumps(scene))
    with pytest.raises(CaptureError, match=r"scene\.json"):
        read_scene(tmp_path)


def tar_of(path: Path, *headers: tarfile.TarInfo) -> Path:
    with path.open("wb") as stream:
        for header in headers:
            stream.write(header.tobuf(tarfile.PAX_FORMAT))
        stream.write(bytes(1024))
    return path


@pytest.mark.parametrize("key", ["GNU.sparse.map", "GNU.sparse.size", "size", "GNU.sparse.major"])
def test_a_shard_whose_header_has_no_number_where_one_is_due(tmp_path: Path, key: str) -> None:
    member = tarfile.TarInfo("a.json")
    member.pax_headers = {key: "many"}
    with pytest.raises(CaptureError, match=r"a\.tar"):
        list(read_shard(tar_of(tmp_path / "a.tar", member)))


@pytest.mark.parametrize("size", [-1, -512, -(2**40)])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_shard_with_a_negative_size_ends(tmp_path: Path, size: int, kind: bytes) -> None:
    # tarfile of Python before 3.11.14 goes backwards, and reads the same header for ever.
    header = bytearray(tarfile.TarInfo("a.json").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = kind
    header[124:136] = b"\xff" + (size % 256**11).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(CaptureError, match=r"a\.tar"):
        list(read_shard(tmp_path / "a.tar"))


@pytest.mark.parametrize(
    "change",
    [{"input": {"long_side": 10**9, "multiple": 10**9}}, {"defocus_cap_px": 1e999}, {"input": {"long_side": 1e999}}],
)
def test_a_model_that_would_be_padded_to_gigabytes(tmp_path: Path, change: dict[str, Any]) -> None:
    config = {
        "format": 1,
        "name": "a",
        "version": "1",
        "input": {"long_side": 512, "multiple": 32},
        "defocus_cap_px": 40,
    }
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"config\.json"):
        open_model_dir(tmp_path)


@pytest.mark.parametrize("value", ["9" * 6000, "[" * 3000 + "]" * 3000, "nan", "1979-05-27", "'\\ud800'"])
def test_toml_beyond_the_parser(tmp_path: Path, value: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f'name = "a"\n[optim]\nlr = {value}\n')
    with pytest.raises(RecipeError, match=r"a\.toml"):
        load_recipe(path)
    path.write_text('name = "a"\n')
    with pytest.raises(RecipeError, match=r"a\.toml"):
        load_recipe(path, [f"optim.lr={value}"])


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"mddnet_prediction": 1, "lens": {"focal_mm": 1' + "0" * 400 + "}}", "{"]
)
def test_a_result_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "cup.json").write_text(content)
    assert read_facts(tmp_path / "cup.json") is None


@pytest.mark.parametrize(
    "header", ["Pf\n-2 -2\n-1\n", "Pf\n2 2\nnan\n", "Pf\n0 0\n1\n", "Pf\n2 2 2\n1\n", "Pf\n" + "9" * 150 + " 1\n1\n"]
)
def test_a_pfm_of_no_size(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.pfm").write_bytes(header.encode() + bytes(16))
    with pytest.raises(CaptureError, match=r"a\.pfm"):
        read_pfm(tmp_path / "a.pfm")


def test_depths_that_are_nowhere() -> None:
    depth = np.array([1e-300, 5e-324, 0.0, -1.0, math.nan, math.inf, 1e300, 2.0])
    assert np.isnan(inv_depth_from_depth_m(depth)).tolist() == [True] * 7 + [False]


def test_an_empty_stream_is_no_image() -> None:
    from mddnet.photo.image_file import opened_image

    with (
        pytest.raises(MddnetError, match=r"the bytes: .*readable"),
        opened_image(io.BytesIO(b""), "give more", name="the bytes"),
    ):
        pass
