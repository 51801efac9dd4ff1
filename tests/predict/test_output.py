"""What is saved says what it is, comes back as it was, and never lands on another photo's results."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import mddnet
from mddnet.errors import MddnetError, OutputError
from mddnet.io.part_file import StagedFiles
from mddnet.predict.map_files import rounded
from mddnet.predict.output import find_saved, is_output, read_facts, save
from mddnet.predict.prediction import Prediction, SmallMaps
from mddnet.types import LensLawFit


def prediction_of(path: Path | None, unit: str = "relative", seed: int = 0) -> Prediction:
    """A made-up prediction of a 60 x 90 photo."""
    random = np.random.default_rng(seed)
    signed = random.normal(0, 5, (60, 90)).astype(np.float32)
    u = random.random((60, 90), dtype=np.float32) + np.float32(0.1)
    return Prediction(
        maps=SmallMaps(u, np.abs(signed), np.sign(signed), random.random((60, 90), dtype=np.float32)),
        unit=unit,  # type: ignore[arg-type]
        focus=LensLawFit(True, 0.5, 12.0, 0.7),
        photo=mddnet.Photo(random.integers(0, 255, (60, 90, 3), dtype=np.uint8), mddnet.Lens(focal_mm=50), path),
        model="tiny",
        model_version="7",
        notes=("a note",),
    )


def test_round_trip(tmp_path: Path) -> None:
    prediction = prediction_of(Path("x/cup.jpg"), "1/m")
    files = prediction.save(tmp_path / "deep" / "out", full=True)
    assert {quantity: path.name for quantity, path in files.items()} == {
        "inv_depth": "cup.inv_depth.tiff",
        "depth_m": "cup.depth_m.tiff",
        "signed_defocus_px": "cup.signed_defocus_px.tiff",
        "confidence": "cup.confidence.tiff",
        "preview": "cup.preview.png",
        "facts": "cup.json",
    }
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == sorted(p.name for p in files.values())
    for quantity in ("inv_depth", "depth_m", "signed_defocus_px"):
        np.testing.assert_array_equal(tifffile.imread(files[quantity]), getattr(prediction, quantity))
        with Image.open(files[quantity]) as image:  # any reader of float TIFFs will do
            np.testing.assert_array_equal(np.asarray(image), getattr(prediction, quantity))
    np.testing.assert_allclose(tifffile.imread(files["confidence"]) / 255, prediction.confidence, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("unit", ["relative", "1/m from focus", "1/m"])
def test_every_map_has_quantity_and_unit(tmp_path: Path, unit: str) -> None:
    files = prediction_of(Path("cup.jpg"), unit).save(tmp_path)
    assert ("depth_m" in files) == (unit == "1/m")
    units = {"inv_depth": unit, "depth_m": "m", "signed_defocus_px": "px", "confidence": "1"}
    for quantity, path in files.items():
        if path.suffix == ".tiff":
            with tifffile.TiffFile(path) as file:
                description = json.loads(file.pages.first.description)
            assert description["quantity"] == quantity and description["unit"] == units[quantity]


def test_facts(tmp_path: Path) -> None:
    path = tmp_path / "cup.jpg"
    files = prediction_of(path).save(tmp_path)
    facts = json.loads(files["facts"].read_text(encoding="utf-8"))
    assert facts["source"] == str(path.resolve()) and facts["complete"] is True
    assert (facts["width_px"], facts["height_px"], facts["unit"]) == (90, 60, "relative")
    assert facts["model"] == {"name": "tiny", "version": "7"} and facts["notes"] == ["a note"]
    assert facts["focus"] == {"found": True, "u_focus": 0.5, "kappa_px": 12.0, "residual_px": 0.7, "reason": ""}
    assert facts["lens"] == {"focal_mm": 50, "f_number": None, "pixel_um": None, "focus_m": None}
    assert facts["files"]["signed_defocus_px"] == "cup.signed_defocus_px.tiff"


def test_facts_without_a_plane_of_focus_are_valid_json(tmp_path: Path) -> None:
    nothing = LensLawFit(False, float("nan"), float("nan"), 0.1, "everything is sharp")
    files = dataclasses.replace(prediction_of(Path("a.jpg")), focus=nothing).save(tmp_path)
    facts = json.loads(files["facts"].read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert facts["focus"]["u_focus"] is None and facts["focus"]["reason"] == "everything is sharp"


@pytest.mark.slow
def test_photos_of_one_stem_have_separate_results_in_every_run(tmp_path: Path) -> None:
    photos = [
        tmp_path / "a" / "cup.jpg",
        tmp_path / "b" / "cup.jpg",
        tmp_path / "a" / "cup.png",
        tmp_path / "cup_2.jpg",
    ]
    predictions = [prediction_of(path, seed=i) for i, path in enumerate(photos)]
    out = tmp_path / "out"
    stems = [prediction.save(out, full=True)["facts"].stem for prediction in predictions]
    assert stems == ["cup", "cup_2", "cup_3", "cup_2_2"]
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert len(before) == 4 * 5
    assert [prediction.save(out, full=True)["facts"].stem for prediction in reversed(predictions)] == stems[::-1]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    for prediction, stem in zip(predictions, stems, strict=True):
        np.testing.assert_array_equal(tifffile.imread(out / f"{stem}.inv_depth.tiff"), prediction.inv_depth)


def test_arrays_are_identified_by_their_pixels(tmp_path: Path) -> None:
    one, two = prediction_of(None, seed=1), prediction_of(None, seed=2)
    assert [p.save(tmp_path)["facts"].name for p in (one, two, one)] == ["image.json", "image_2.json", "image.json"]
    assert one.save(tmp_path, stem="mine")["facts"].name == "mine.json"
    assert two.save(tmp_path, stem="mine")["facts"].name == "mine_2.json"


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "cup.json").write_text('{"somebody": "else"}')
    (tmp_path / "cup_2.preview.png").write_text("somebody else's")
    assert prediction_of(Path("cup.jpg")).save(tmp_path)["facts"].name == "cup_3.json"
    assert (tmp_path / "cup.json").read_text() == '{"somebody": "else"}'
    assert (tmp_path / "cup_2.preview.png").read_text() == "somebody else's"


def test_an_interrupted_run_is_completed_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = tmp_path / "cup.jpg"
    with monkeypatch.context() as patch:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("mddnet.predict.output.preview", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prediction_of(photo).save(tmp_path)
    facts = find_saved(tmp_path, photo)
    assert facts is not None and not facts.complete
    assert not list(tmp_path.glob(".*"))
    assert prediction_of(photo).save(tmp_path)["facts"].name == "cup.json"
    facts = find_saved(tmp_path, photo)
    assert facts is not None and facts.complete and (facts.model, facts.model_version) == ("tiny", "7")


def test_partly_replaced_results_are_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the process were killed between two of its files, where another lens was given before."""
    photo = tmp_path / "cup.jpg"
    prediction_of(photo, "1/m").save(tmp_path)
    before = find_saved(tmp_path, photo)
    assert before is not None and before.complete

    def killed(staged: StagedFiles) -> None:
        staged._waiting.pop(0).commit()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StagedFiles, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            prediction_of(photo, seed=1).save(tmp_path)
    after = find_saved(tmp_path, photo)
    assert after is not None and not after.complete
    assert sorted(prediction_of(photo).save(tmp_path).values()) == sorted(tmp_path.iterdir())


def test_where_the_disk_is_full_earlier_results_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, out = tmp_path / "cup.jpg", tmp_path / "out"
    prediction_of(photo).save(out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mddnet.predict.output.preview", full)
    with pytest.raises(OutputError, match="free some space") as caught:
        prediction_of(photo, seed=1).save(out, formats=("npy",))
    assert str(caught.value).startswith(str(out))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_several_writers_write_the_same_bytes(tmp_path: Path) -> None:
    """The facts, with sizes and checksums of the other files, included."""
    formats = ("tiff", "png", "npy", "mask", "depth", "ply", "glb", "stereo")
    written = [
        save(prediction_of(Path("x/cup.jpg"), "1/m"), tmp_path / str(writers), None, formats, writers=writers)
        for writers in (1, 4)
    ]
    one, other = ([(key, path.name, path.read_bytes()) for key, path in files.items()] for files in written)
    assert one == other and len(one) == len(list((tmp_path / "4").iterdir())) > len(formats)


def test_where_one_of_several_writers_fails_nothing_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, out = tmp_path / "cup.jpg", tmp_path / "out"
    prediction_of(photo).save(out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write = StagedFiles.write

    def full(staged: StagedFiles, path: Path, content: Any) -> Path:
        if "signed" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(staged, path, content)

    monkeypatch.setattr(StagedFiles, "write", full)
    with pytest.raises(OutputError):
        save(prediction_of(photo, seed=1), out, writers=4)
    monkeypatch.setattr(StagedFiles, "write", write)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_metres_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    prediction_of(Path("cup.jpg"), "1/m").save(tmp_path)
    files = prediction_of(Path("cup.jpg")).save(tmp_path)
    assert "depth_m" not in files and not (tmp_path / "cup.depth_m.tiff").exists()


@pytest.mark.parametrize("stem", ["", "..", "a/b", "/etc/x"])
def test_a_stem_cannot_leave_the_folder(tmp_path: Path, stem: str) -> None:
    with pytest.raises(MddnetError, match="plain file name"):
        prediction_of(None).save(tmp_path, stem)


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MddnetError, match="not a directory"):
        prediction_of(Path("cup.jpg")).save(tmp_path / "file" / "out")


def test_names_and_facts_of_others(tmp_path: Path) -> None:
    names = ("cup.preview.png", "cup.inv_depth.tiff", "cup.defocus_mask.tiff", "cup.points.ply", "cup.points.glb")
    assert not any(is_output(tmp_path / name) for name in names)
    files = prediction_of(Path("cup.jpg")).save(tmp_path, formats="tiff,mask,ply,glb")
    assert {*names} <= {path.name for path in files.values()}
    assert all(is_output(path) for key, path in files.items() if key != "facts")
    # Neither the photo itself, nor names of which the facts say nothing.
    assert not any(
        is_output(tmp_path / name) for name in ("cup.png", "preview.png", "cup.depth_m.tiff", "a.inv_depth.png")
    )
    assert read_facts(Path("/nonexistent.json")) is None


def test_facts_state_size_and_checksum_of_every_other_file(tmp_path: Path) -> None:
    exr = ",exr" if find_spec("OpenEXR") is not None else ""
    files = prediction_of(Path("cup.jpg")).save(tmp_path, formats=f"png, npy,glb{exr}")
    stated = json.loads(files["facts"].read_text())["checksums"]
    others = {path.name: path.read_bytes() for key, path in files.items() if key != "facts"}
    assert stated == {name: {"bytes": len(data), "crc32": zlib.crc32(data)} for name, data in others.items()}
    facts = read_facts(files["facts"])
    assert facts is not None and facts.intact(["png", "glb"]) and not facts.intact(["tiff"])


@pytest.mark.parametrize("formats", ["ply,glb", "glb , ply", ["ply", "glb"], ("glb", "ply", "glb")])
def test_formats_are_a_list_or_a_text(tmp_path: Path, formats: Any) -> None:
    files = prediction_of(Path("cup.jpg")).save(tmp_path, formats=formats)
    assert {"cup.points.ply", "cup.points.glb"} <= {path.name for path in files.values()} and len(files) == 4


def test_a_name_that_is_too_long_leaves_nothing_behind(tmp_path: Path) -> None:
    for stem in ("n" * 240, "日" * 80):
        with pytest.raises(OutputError, match="240 bytes"):
            prediction_of(None).save(tmp_path, stem=stem)
    assert list(tmp_path.iterdir()) == []
    prediction_of(None).save(tmp_path, stem="n" * 232)


def test_sixteen_bit_png_comes_back_by_the_scale_in_the_file_and_in_the_facts(tmp_path: Path) -> None:
    prediction = prediction_of(Path("cup.jpg"), "1/m")
    files = prediction.save(tmp_path, formats=["png"])
    facts = json.loads(files["facts"].read_text())
    for quantity in ("inv_depth", "depth_m", "signed_defocus_px", "confidence"):
        values = getattr(prediction, quantity)
        with Image.open(files[quantity]) as image:
            codes, text = np.asarray(image), json.loads(image.info["mddnet"])
        assert codes.dtype == (np.uint8 if quantity == "confidence" else np.uint16)
        code = facts["png_codes"][quantity]
        assert (text["offset"], text["scale"], text["quantity"]) == (code["offset"], code["scale"], quantity)
        back = code["offset"] + code["scale"] * codes.astype(np.float64)
        np.testing.assert_allclose(back, values, atol=0.5001 * code["scale"] + 1e-6)
    flat_maps = dataclasses.replace(prediction.maps, inv_depth=np.full((60, 90), 0.25, np.float32))
    flat = dataclasses.replace(prediction, maps=flat_maps)
    with Image.open(flat.save(tmp_path, formats=["png"])["inv_depth"]) as image:
        assert not np.asarray(image).any() and json.loads(image.info["mddnet"])["offset"] == 0.25


def test_npy_holds_the_floats_and_is_no_pickle(tmp_path: Path) -> None:
    prediction = prediction_of(Path("cup.jpg"))
    files = prediction.save(tmp_path, formats=["npy", "tiff"])
    assert files["inv_depth"].name == "cup.inv_depth.npy" and files["inv_depth.tiff"].name == "cup.inv_depth.tiff"
    for quantity in ("inv_depth", "confidence"):
        back = np.load(files[quantity], allow_pickle=False)
        np.testing.assert_array_equal(back, getattr(prediction, quantity))


def test_saving_in_another_format_removes_old_files(tmp_path: Path) -> None:
    prediction_of(Path("cup.jpg"), "1/m").save(tmp_path, formats=["tiff", "npy"])
    files = prediction_of(Path("cup.jpg"), seed=1).save(tmp_path, formats=["png"])
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


@pytest.mark.parametrize("formats", [[], ["tiff", "jpeg"], ["tiff,ply"], ["tiff", None], "", "tif", "tiff;ply", ","])
def test_unknown_formats_are_rejected_before_anything_is_written(tmp_path: Path, formats: Any) -> None:
    with pytest.raises(MddnetError, match="tiff,png,npy,exr,mask,depth,ply,glb"):
        prediction_of(Path("cup.jpg")).save(tmp_path / "out", formats=formats)
    assert not (tmp_path / "out").exists()


def test_exr_holds_the_floats_with_quantity_and_unit(tmp_path: Path) -> None:
    openexr = pytest.importorskip("OpenEXR", reason="EXR needs the extra formats")
    prediction = prediction_of(Path("cup.jpg"), "1/m")
    files = prediction.save(tmp_path, formats=["exr"])
    units = {"inv_depth": "1/m", "depth_m": "m", "signed_defocus_px": "px", "confidence": "1"}
    for quantity, unit in units.items():
        assert files[quantity].name == f"cup.{quantity}.exr"
        with openexr.File(str(files[quantity])) as file:
            np.testing.assert_array_equal(file.channels()["Y"].pixels, getattr(prediction, quantity))
            assert (file.header()["quantity"], file.header()["unit"]) == (quantity, unit)
            assert json.loads(file.header()["mddnet"])["quantity"] == quantity


def test_without_the_package_exr_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(MddnetError, match=r"format exr: .*OpenEXR.*; pip install .mddnet\[formats\]"):
        prediction_of(Path("cup.jpg")).save(tmp_path / "out", formats=["tiff", "exr"])
    assert not (tmp_path / "out").exists()


def test_the_mask_is_16_bit_grey_with_its_scale(tmp_path: Path) -> None:
    prediction = prediction_of(Path("cup.jpg"))
    files = prediction.save(tmp_path, formats=["mask"])
    assert {path.name for path in files.values()} == {"cup.defocus_mask.tiff", "cup.preview.png", "cup.json"}
    facts = json.loads(files["facts"].read_text())["defocus_mask"]
    with tifffile.TiffFile(files["defocus_mask"]) as file:
        page = file.pages.first
        codes, text = page.asarray(), json.loads(page.description)
        assert page.photometric == tifffile.PHOTOMETRIC.MINISBLACK and page.compression == tifffile.COMPRESSION.NONE
    assert codes.dtype == np.uint16 and codes.max() == 65535
    assert (text["scale"], text["offset"], text["unit"]) == (facts["scale"], 0.0, "px")
    np.testing.assert_allclose(facts["scale"] * codes, prediction.defocus_px, atol=0.5001 * facts["scale"])
    with Image.open(files["defocus_mask"]) as image:  # as any program for photos opens it
        assert image.mode.startswith("I;16")
        np.testing.assert_array_equal(np.asarray(image), codes)


def test_the_mask_of_a_photo_that_is_sharp_everywhere_is_black(tmp_path: Path) -> None:
    prediction = prediction_of(Path("cup.jpg"))
    maps = dataclasses.replace(prediction.maps, defocus_px=np.zeros((60, 90), np.float32))
    sharp = dataclasses.replace(prediction, maps=maps)
    files = sharp.save(tmp_path, formats=["mask"])
    assert not tifffile.imread(files["defocus_mask"]).any()


@pytest.mark.parametrize("unit", ["relative", "1/m"])
def test_points_in_space_say_their_unit_and_their_camera(tmp_path: Path, unit: str) -> None:
    lens = mddnet.Lens(focal_mm=50, pixel_um=500)
    prediction = prediction_of(Path("cup.jpg"), unit)
    prediction = dataclasses.replace(prediction, photo=dataclasses.replace(prediction.photo, lens=lens))
    files = prediction.save(tmp_path, formats=["ply", "glb"])
    assert files["points.ply"].name == "cup.points.ply" and files["points.glb"].name == "cup.points.glb"
    facts = json.loads(files["facts"].read_text())
    cloud, camera = facts["point_cloud"], facts["camera"]
    assert cloud["unit"] == ("m" if unit == "1/m" else "relative") and cloud["camera"] == camera
    # Metric: in focus at 1/0.5 m, v = 50 * 2 / 1.95 mm.
    assert camera["fx_px"] == pytest.approx(100 * (2 / 1.95 if unit == "1/m" else 1)) and camera["assumed"] is False
    header = files["points.ply"].read_bytes().partition(b"end_header")[0]
    assert f"element vertex {cloud['points']}".encode() in header
    assert (b"metres" in header) == (unit == "1/m")
    assert files["points.glb"].read_bytes()[:4] == b"glTF"


def test_the_camera_is_in_the_facts_without_points(tmp_path: Path) -> None:
    facts = json.loads(prediction_of(Path("cup.jpg")).save(tmp_path)["facts"].read_text())
    assert facts["camera"]["assumed"] is True and facts["camera"]["fx_px"] == 100.0
    assert "point_cloud" not in facts and facts["preview_range"]["fixed"] is False


def test_results_of_every_format_are_replaced_by_those_of_another(tmp_path: Path) -> None:
    formats = ["tiff", "mask", "depth", "ply", "glb", "mesh", "stereo", "anaglyph"]
    prediction_of(Path("cup.jpg")).save(tmp_path, formats=formats)
    files = prediction_of(Path("cup.jpg")).save(tmp_path, formats=["mask"])
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


def test_the_depth_picture_is_white_where_it_is_near(tmp_path: Path) -> None:
    prediction = prediction_of(Path("cup.jpg"))
    files = prediction.save(tmp_path, formats=["depth"])
    assert files["depth"].name == "cup.depth.png"
    with Image.open(files["depth"]) as image:
        codes = np.asarray(image).astype(np.float64)
        text = json.loads(image.text["mddnet"])  # type: ignore[attr-defined]
    low, high = np.percentile(prediction.maps.inv_depth, [0.5, 99.5])
    expected = np.clip((prediction.inv_depth - low) / (high - low), 0, 1) * 65535
    assert codes.shape == prediction.size and np.abs(codes - expected).max() <= 0.51
    assert text["larger"] == "nearer" and text["offset"] == pytest.approx(low)
    assert json.loads(files["facts"].read_text())["depth_png"]["scale"] == pytest.approx((high - low) / 65535)


def test_pictures_made_of_the_maps(tmp_path: Path) -> None:
    prediction = prediction_of(Path("cup.jpg"))
    height, width = prediction.size
    files = prediction.save(tmp_path, formats="mesh,stereo,anaglyph")
    assert {files[name].name for name in ("mesh", "stereo", "anaglyph")} == {
        "cup.mesh.glb", "cup.stereo.jpg", "cup.anaglyph.jpg"
    }  # fmt: skip
    assert files["mesh"].read_bytes()[:4] == b"glTF" and all(is_output(files[name]) for name in ("mesh", "stereo"))
    assert Image.open(files["stereo"]).size == (2 * width, height)
    assert Image.open(files["anaglyph"]).size == (width, height)
    facts = read_facts(files["facts"])
    assert facts is not None and facts.intact(["mesh", "stereo", "anaglyph"]) and not facts.intact(["parallax"])


def test_a_parallax_clip_is_a_film_of_three_seconds(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="reading it back needs the extra formats")
    files = prediction_of(Path("cup.jpg")).save(tmp_path, formats=["parallax"])
    assert files["parallax"].name == "cup.parallax.mp4"
    with av.open(str(files["parallax"])) as film:
        assert film.streams.video[0].frames == 90 and film.duration == pytest.approx(3e6, rel=0.02)


def with_errors(prediction: Prediction) -> Prediction:
    """Large errors on the left of the photo, small ones on the right."""
    size = np.where(np.arange(9) < 5, 1.0, 0.01).astype(np.float32)[None].repeat(6, axis=0)
    maps = dataclasses.replace(
        prediction.maps, inv_depth_error=size * np.float32(0.05), expected_defocus_error_px=size * np.float32(2)
    )
    return dataclasses.replace(prediction, maps=maps)


@pytest.mark.parametrize("maps_at", ["photo", "network"])
def test_files_are_rounded_to_a_tenth_of_the_error_and_little_of_the_range(tmp_path: Path, maps_at: Any) -> None:
    prediction = with_errors(prediction_of(Path("cup.jpg"), "1/m"))
    files = prediction.save(tmp_path, maps_at=maps_at)
    for quantity, span in (("inv_depth", 1.0), ("signed_defocus_px", 30.0)):
        exact, saved = getattr(prediction, quantity), tifffile.imread(files[quantity])
        error = prediction.error_rows(quantity, 0, 60)  # type: ignore[arg-type]
        assert error is not None and (np.abs(saved - exact) <= 0.1 * error).all()
        assert 0 < np.abs(saved - exact).max() <= span / 512
    metres = tifffile.imread(files["depth_m"])
    assert prediction.depth_m is not None and prediction.depth_error_m is not None
    assert (np.abs(metres - prediction.depth_m) <= 0.1 * prediction.depth_error_m + 1e-6).all()
    assert (np.abs(metres - prediction.depth_m) <= prediction.depth_m / 256).all()
    confidence = tifffile.imread(files["confidence"])
    np.testing.assert_allclose(confidence / 255, prediction.confidence, atol=3 / 255)
    with tifffile.TiffFile(files["inv_depth"]) as file:
        assert file.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    with Image.open(files["inv_depth"]) as image:
        np.testing.assert_array_equal(np.asarray(image), tifffile.imread(files["inv_depth"]))


def test_rounding_by_hand() -> None:
    values = np.array([0.3, -0.3, 1.0, np.inf, 0.0, 1e12], np.float32)
    # At most .1 is a step of an eighth, at most .125 one of a quarter.
    np.testing.assert_array_equal(rounded(values, np.float32(0.1)), [0.25, -0.25, 1.0, np.inf, 0.0, np.float32(1e12)])
    each = np.array([0.125, 0.01, 0.5, np.inf, 0.0, 0.0], np.float32)
    expected = [0.25, -19 / 64, 1.0, np.inf, 0.0, np.float32(1e12)]
    np.testing.assert_array_equal(rounded(values, each), expected)


def test_a_large_smooth_prediction_fits_a_disk(tmp_path: Path) -> None:
    y, x = np.mgrid[:96, :128].astype(np.float32)
    signed = 20 * np.sin(x / 20) + y / 4
    u = np.cos(y / 30) + x / 200 + np.float32(1.5)
    photo = mddnet.Photo(np.zeros((1200, 1600, 3), np.uint8))
    maps = SmallMaps(u, np.abs(signed), np.sign(signed), np.clip(u / 4, 0, 1))
    prediction = Prediction(maps, "1/m", LensLawFit(True, 0.5, 12.0, 0.7), photo, "tiny", "7")
    sizes = {
        full: sum(p.stat().st_size for p in prediction.save(tmp_path, full=full).values() if p.suffix == ".tiff")
        for full in (False, True)
    }
    # 25 MB for 12 megapixels are 4 MB for 1.92.
    assert sizes[True] > 13 * 1920000 and sizes[False] < 4e6


def test_maps_of_the_size_of_the_network_say_so(tmp_path: Path) -> None:
    small = prediction_of(Path("cup.jpg"))
    photo = mddnet.Photo(np.zeros((240, 360, 3), np.uint8), path=Path("cup.jpg"))
    prediction = dataclasses.replace(small, photo=photo)
    files = prediction.save(tmp_path, formats="tiff,npy,depth", maps_at="network")
    facts = json.loads(files["facts"].read_text())
    assert facts["maps"] == {"full": False, "at": "network", "width_px": 90, "height_px": 60}
    assert (facts["width_px"], facts["height_px"]) == (360, 240)
    np.testing.assert_array_equal(np.load(files["signed_defocus_px.npy"]), small.signed_defocus_px)  # px of the photo
    with Image.open(files["depth"]) as picture:
        assert picture.size == (360, 240)
    with pytest.raises(MddnetError, match=r"maps_at 'cells': .*photo or network"):
        prediction.save(tmp_path, maps_at="cells")  # type: ignore[arg-type]


def test_the_preview_alone(tmp_path: Path) -> None:
    prediction_of(Path("cup.jpg")).save(tmp_path)
    files = prediction_of(Path("cup.jpg")).save(tmp_path, formats="preview")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cup.json", "cup.preview.png"]
    facts = read_facts(files["facts"])
    assert facts is not None and facts.intact(["preview"]) and not facts.intact(["tiff"])


def test_infinity_is_inf_in_floats_and_the_largest_code_in_16_bits(tmp_path: Path) -> None:
    prediction = prediction_of(Path("cup.jpg"), "1/m")
    u = prediction.maps.inv_depth.copy()
    u[:20] = 0
    prediction = dataclasses.replace(prediction, maps=dataclasses.replace(prediction.maps, inv_depth=u))
    files = prediction.save(tmp_path, formats="tiff,npy,png,ply")
    for whole in (tifffile.imread(files["depth_m"]), np.load(files["depth_m.npy"])):
        assert np.isinf(whole[:20]).all() and np.isfinite(whole[20:]).all()
    code = json.loads(files["facts"].read_text(), parse_constant=pytest.fail)["png_codes"]["depth_m"]
    with Image.open(files["depth_m.png"]) as image:
        codes = np.asarray(image).astype(np.float64)
    assert code["infinity"] == 65535 and (codes[:20] == 65535).all() and codes[20:].max() == 65534
    assert prediction.depth_m is not None
    back = code["offset"] + code["scale"] * codes[20:]
    np.testing.assert_allclose(back, prediction.depth_m[20:], atol=0.51 * code["scale"])
    # Nothing at infinity is among the points.
    assert json.loads(files["facts"].read_text())["point_cloud"]["left_out"]["far"] == 20 * 90


@pytest.mark.slow
def test_results_of_a_real_photo_of_12_megapixels_take_at_most_25_megabytes(shared_data: Path, tmp_path: Path) -> None:
    frame = sorted((shared_data / "captures" / "focal_stacks" / "phone_scene1").glob("frame_*.jpg"))[5]
    with Image.open(frame) as image:
        photo = mddnet.Photo(np.asarray(image.convert("RGB").resize((4000, 3000), Image.Resampling.LANCZOS)))
    prediction = mddnet.load(threads=1).predict(photo)
    files = prediction.save(tmp_path)
    assert sum(path.stat().st_size for path in files.values()) < 25e6
    for quantity in ("inv_depth", "signed_defocus_px"):
        exact, saved = getattr(prediction, quantity), tifffile.imread(files[quantity])
        low, high = np.percentile(exact, (1, 99))
        assert np.abs(saved - exact).max() <= (high - low) / 256
