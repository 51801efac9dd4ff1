"""Refocusing with maps that obey the lens law by construction, and the light of deep files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.photo.test_formats import made_dng
from tests.support.made_law_model import KAPPA_PX, LawModel, ramp

from mddnet.color import linear_from_srgb, srgb8_from_linear
from mddnet.errors import MddnetError, OutputError
from mddnet.photo.light import read_light
from mddnet.photo.reader import read_photo
from mddnet.predict import refocus as module
from mddnet.predict.prediction import Prediction, SmallMaps
from mddnet.predict.refocus import (
    BlurMaps,
    RefocusSettings,
    focus_sweep,
    inv_depth_at,
    significant_defocus_px,
    wanted_defocus_px,
)
from mddnet.types import Float32Array, Lens, LensLawFit, Photo, UInt8Array

NOT_FOUND = LensLawFit(False, float("nan"), float("nan"), 1.0, "all is sharp")
LAW = LensLawFit(True, 0.5, 20.0, 0.0)


@pytest.fixture
def renderer() -> None:
    """Skip without the packages of the renderer."""
    pytest.importorskip("cv2", reason="refocusing needs OpenCV (extra build)")
    pytest.importorskip("scipy", reason="refocusing needs SciPy (extra build)")


def halves(height: int = 96, width: int = 128) -> UInt8Array:
    """Noise; far, out of focus on the left, and in focus on the right, by its red channel."""
    pixels = np.repeat(np.random.default_rng(0).integers(0, 256, (height, width, 1), dtype=np.uint8), 3, axis=2)
    pixels[:, :, 0] = 40
    pixels[:, width // 2 :, 0] = 128
    return pixels


def maps_of(inv_depth: list[float], signed_px: list[float], law: LensLawFit = LAW) -> BlurMaps:
    return BlurMaps(np.float32([inv_depth]), np.float32([signed_px]), law)


LEFT, RIGHT = np.s_[:, :44], np.s_[:, 84:]


def contrast(pixels: UInt8Array) -> float:
    return float(pixels[..., 1].std())


# --- the wanted blur ---


def test_a_wider_aperture_multiplies_the_defocus() -> None:
    maps = maps_of([0.0, 0.5, 1.0], [10, 0, -10])
    assert wanted_defocus_px(maps, 2).tolist() == [[20, 0, -20]]


def test_another_plane_of_focus_follows_the_law() -> None:
    maps = maps_of([0.0, 0.5, 1.0], [10, 0, -10])
    assert wanted_defocus_px(maps, 2, u_focus=1.0).tolist() == [[40, 20, 0]]
    with pytest.raises(MddnetError, match="all is sharp"):
        wanted_defocus_px(replace(maps, focus=NOT_FOUND), 2, 0.5)


def test_defocus_below_the_residual_counts_as_sharp() -> None:
    maps = maps_of([0, 0, 0, 0, 0], [-5, -1, 0, 1.5, 4], replace(LAW, residual_px=2.0))
    assert significant_defocus_px(maps).tolist() == [[-3, 0, 0, 0, 2]]
    lost = replace(maps, focus=replace(NOT_FOUND, residual_px=2.0))
    assert significant_defocus_px(lost).tolist() == maps.signed_defocus_px.tolist()


def test_the_depth_of_a_point_is_a_median() -> None:
    inv_depth = np.tile(np.float32([0, 0, 0, 0, 1, 1, 1, 1]), (8, 1))
    inv_depth[1, 1] = 9
    assert inv_depth_at(inv_depth, (0.15, 0.15)) == 0 and inv_depth_at(inv_depth, (1.0, 1.0)) == 1


# --- pictures ---


@pytest.mark.usefixtures("renderer")
def test_more_blur_leaves_sharp_what_is_in_focus() -> None:
    prediction = LawModel().predict(Photo(halves()))
    result = prediction.refocus(strength=2.5)
    assert result.pixels.shape == (96, 128, 3) and result.pixels.dtype == np.uint8 and result.strength == 2.5
    assert contrast(result.pixels[LEFT]) < 0.2 * contrast(halves()[LEFT])
    assert (result.pixels[RIGHT] == halves()[RIGHT]).mean() > 0.99
    assert (prediction.refocus(strength=1).pixels == halves()).all()


@pytest.mark.usefixtures("renderer")
def test_the_focus_moves_but_blurred_parts_stay_blurred_and_it_says_so() -> None:
    result = LawModel().predict(Photo(halves())).refocus(focus=(0.1, 0.5))
    assert contrast(result.pixels[RIGHT]) < 0.3 * contrast(halves()[RIGHT])
    assert (result.pixels[LEFT] == halves()[LEFT]).mean() > 0.9
    assert result.u_focus == pytest.approx(40 / 255)
    assert any("not possible from one photo" in note for note in result.notes)


@pytest.mark.usefixtures("renderer")
def test_an_f_number_is_a_strength() -> None:
    prediction = LawModel().predict(Photo(halves(), Lens(f_number=5.6)))
    by_aperture, by_strength = prediction.refocus(aperture=2.8), prediction.refocus(strength=2)
    assert by_aperture.strength == 2 and (by_aperture.pixels == by_strength.pixels).all()
    assert prediction.refocus(aperture=8).strength == pytest.approx(0.7)
    with pytest.raises(MddnetError, match="f-number"):
        LawModel().predict(Photo(halves())).refocus(aperture=2.8)


@pytest.mark.usefixtures("renderer")
def test_maps_of_any_resolution() -> None:
    whole = LawModel().predict(Photo(halves()))
    small = SmallMaps(*(np.ascontiguousarray(values[::4, ::4]) for values in _arrays(whole.maps)))
    result = replace(whole, maps=small).refocus(strength=2.5, focus=(0.9, 0.5))
    assert result.pixels.shape == (96, 128, 3) and contrast(result.pixels[LEFT]) < 0.3 * contrast(halves()[LEFT])


def _arrays(maps: SmallMaps) -> list[Float32Array]:
    return [maps.inv_depth, maps.defocus_px, maps.sign, maps.confidence]


@pytest.mark.usefixtures("renderer")
def test_a_sharp_photo_is_blurred_by_depth_alone() -> None:
    prediction = replace(LawModel().predict(Photo(halves())), focus=NOT_FOUND)
    result = prediction.refocus(strength=4, focus=(0.9, 0.5))
    assert contrast(result.pixels[LEFT]) < 0.5 * contrast(halves()[LEFT])
    assert (result.pixels[RIGHT] == halves()[RIGHT]).mean() > 0.99
    assert any("all is sharp" in note for note in result.notes)
    with pytest.raises(MddnetError, match="point"):
        prediction.refocus(strength=2)
    with pytest.raises(MddnetError, match="strength"):
        replace(prediction, photo=Photo(halves(), Lens(f_number=4))).refocus(aperture=2, focus=(0.9, 0.5))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"aperture": 2.0, "strength": 2.0}, "one of them"),
        ({"aperture": 0.0}, "f-number"),
        ({"aperture": float("nan")}, "f-number"),
        ({"strength": 0.0}, "0.05 to 20"),
        ({"strength": float("nan")}, "0.05 to 20"),
        ({"strength": 21.0}, "0.05 to 20"),
        ({"focus": (1.2, 0.5)}, "fractions"),
        ({"focus": (float("nan"), 0.5)}, "fractions"),
        ({"focus": (0.5,)}, "fractions"),
        ({"blades": 3}, "at least 4"),
        ({"blades": -1}, "at least 4"),
        ({"cat_eye": 1.0}, "below 1"),
    ],
)
def test_settings_out_of_range(given: dict[str, object], expected: str) -> None:
    with pytest.raises(MddnetError, match=expected):
        RefocusSettings(**given)  # type: ignore[arg-type]


def test_a_missing_package_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MddnetError, match="cv2 and scipy; pip install"):
        LawModel().predict(Photo(ramp())).refocus(strength=2)


@pytest.mark.usefixtures("renderer")
def test_a_sweep_goes_from_near_to_far_with_even_sides() -> None:
    pixels = halves(97, 131)
    pixels[:, 65:, 0] = 250
    frames = list(focus_sweep(LawModel().predict(Photo(pixels)), RefocusSettings(strength=3), 3))
    assert [frame.shape for frame in frames] == [(96, 130, 3)] * 3
    near, far = [contrast(f[RIGHT]) for f in frames], [contrast(f[LEFT]) for f in frames]
    assert near[0] > 2 * near[2] and far[2] > 2 * far[0]
    small = next(focus_sweep(LawModel().predict(Photo(pixels)), RefocusSettings(strength=3), 1, long_side_px=64))
    assert max(small.shape) <= 64


@pytest.mark.usefixtures("renderer")
def test_pictures_on_disk(tmp_path: Path) -> None:
    result = LawModel().predict(Photo(halves())).refocus(strength=2)
    result.save(tmp_path / "a.png")
    assert (np.asarray(Image.open(tmp_path / "a.png")) == result.pixels).all()
    result.save(str(tmp_path / "a.tiff"))
    deep = tifffile.imread(tmp_path / "a.tiff")
    assert deep.dtype == np.uint16 and np.abs(deep / 257 - result.pixels).max() < 1
    result.save(tmp_path / "a.jpg")
    assert Image.open(tmp_path / "a.jpg").size == (128, 96)
    with pytest.raises(OutputError):
        result.save(tmp_path / "a.png" / "b.png")
    with pytest.raises(MddnetError, match=r"\.png, \.jpg, \.tiff"):
        result.save(tmp_path / "a.gif")


# --- light of deep files ---


def deep_ramp() -> UInt8Array:
    values = np.linspace(500, 65000, 80 * 60).reshape(60, 80)
    return np.stack([values, values[::-1], values[:, ::-1]], axis=2).astype(np.uint16)


def test_a_deep_tiff_keeps_its_steps(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", deep_ramp(), photometric="rgb")
    photo = read_photo(tmp_path / "a.tif")
    light = read_light(photo)
    assert light is not None and light.shape == (60, 80, 3)
    np.testing.assert_allclose(light, linear_from_srgb(deep_ramp() / 65535), rtol=0.02, atol=1e-4)
    assert len(np.unique(light[..., 0])) > 4000
    (tmp_path / "a.tif").unlink()
    assert read_light(photo) is None


def test_a_linear_tiff_is_read_as_the_photo_was(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", deep_ramp(), photometric="rgb")
    light = read_light(read_photo(tmp_path / "a.tif", linear=True))
    assert light is not None
    np.testing.assert_allclose(light, deep_ramp() / 65535, rtol=0.02, atol=1e-4)


def test_a_deep_png_and_its_orientation(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="16-bit colour PNG needs OpenCV")
    _, data = cv2.imencode(".png", deep_ramp()[:, :, ::-1])
    (tmp_path / "a.png").write_bytes(data.tobytes())
    light = read_light(read_photo(tmp_path / "a.png"))
    assert light is not None and len(np.unique(light[..., 0])) > 4000
    exif = Image.Exif()
    exif[0x0112] = 6
    tifffile.imwrite(tmp_path / "b.tif", deep_ramp(), photometric="rgb", extratags=[(0x0112, "H", 1, 6, True)])
    photo = read_photo(tmp_path / "b.tif")
    turned = read_light(photo)
    assert photo.pixels.shape == (80, 60, 3) and turned is not None and turned.shape == (80, 60, 3)


def test_highlights_of_exr_stay_above_white(tmp_path: Path) -> None:
    openexr = pytest.importorskip("OpenEXR", reason="EXR needs the extra formats")
    values = (deep_ramp() / 65535).astype(np.float32)
    values[10:12, 10:12] = 9.0
    header = {"compression": openexr.NO_COMPRESSION, "type": openexr.scanlineimage}
    openexr.File(header, {"RGB": values}).write(str(tmp_path / "a.exr"))
    light = read_light(read_photo(tmp_path / "a.exr"))
    assert light is not None and light.max() == pytest.approx(9.0, rel=0.05)


@pytest.mark.parametrize("orientation", [1, 6])
def test_raw_files_have_the_exposure_of_the_photo(tmp_path: Path, orientation: int) -> None:
    pytest.importorskip("rawpy", reason="raw needs the extra formats")
    made_dng(tmp_path / "a.dng", orientation)
    photo = read_photo(tmp_path / "a.dng")
    light = read_light(photo)
    assert light is not None and light.shape == photo.pixels.shape
    inside = (photo.pixels > 20) & (photo.pixels < 230)
    assert np.abs(srgb8_from_linear(light).astype(int) - photo.pixels)[inside].mean() < 2


def test_files_of_eight_bits_and_other_pictures_have_no_more_light(tmp_path: Path) -> None:
    Image.fromarray(ramp()).save(tmp_path / "a.png")
    assert read_light(read_photo(tmp_path / "a.png")) is None
    assert read_light(Photo(ramp())) is None
    tifffile.imwrite(tmp_path / "b.tif", deep_ramp(), photometric="rgb")
    assert read_light(Photo(ramp(), path=tmp_path / "b.tif")) is None  # the file was replaced


def test_the_model_of_the_law_is_what_these_tests_assume() -> None:
    prediction: Prediction = LawModel().predict(Photo(halves()))
    assert prediction.focus.kappa_px == KAPPA_PX and prediction.signed_defocus_px[0, 0] > 6
