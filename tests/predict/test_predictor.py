"""From photos of every kind and size to maps that obey the conventions."""

from __future__ import annotations

import base64
import dataclasses
import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mddnet
from mddnet.errors import ImageError, ModelError
from mddnet.predict.model_dir import open_model_dir
from mddnet.predict.predictor import Model, network_size
from mddnet.predict.resampling import strips
from mddnet.types import Photo, UInt8Array


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return mddnet.load(tiny_model, threads=1)


def ramp(height: int, width: int) -> UInt8Array:
    """Red rises from left to right: for the tiny model the left is far and behind, the right near and in front."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width).round()
    pixels[::2, :, 1] = 200  # texture, which the tiny model does not look at
    return pixels


@pytest.mark.parametrize(
    ("photo", "network"),
    [
        ((384, 512), (384, 512)),
        ((3000, 4000), (384, 512)),
        ((4000, 3000), (512, 384)),
        ((1013, 701), (512, 354)),
        ((300, 400), (384, 512)),
        ((100, 75), (200, 150)),  # upsampled by 2 at most
        ((32, 32), (64, 64)),
        ((20, 16), (64, 51)),  # but to 64 px at least
        ((100, 3200), (32, 1024)),  # the short side keeps 32
    ],
)
def test_size_of_the_networks_image(photo: tuple[int, int], network: tuple[int, int]) -> None:
    assert network_size(*photo, long_side=512) == network


def test_an_extreme_aspect_ratio_is_rejected() -> None:
    with pytest.raises(ImageError, match="more than 32 times"):
        network_size(40, 1300, 512)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (97, 130), (301, 513), (700, 511), (40, 1200), (1025, 1367)])
def test_maps_have_the_photos_size_and_are_finite(model: Model, size: tuple[int, int]) -> None:
    prediction = model.predict(ramp(*size))
    for values in (
        prediction.inv_depth,
        prediction.defocus_px,
        prediction.signed_defocus_px,
        prediction.confidence,
    ):
        assert values.shape == size and values.dtype == np.float32 and np.isfinite(values).all()
    assert prediction.defocus_px.min() >= 0
    np.testing.assert_array_equal(np.abs(prediction.signed_defocus_px), prediction.defocus_px)
    assert prediction.confidence.min() >= 0 and prediction.confidence.max() <= 1


def test_convention_signs_and_order(model: Model) -> None:
    prediction = model.predict(ramp(96, 128))
    assert prediction.unit == "relative" and prediction.depth_m is None
    assert prediction.inv_depth[50, 120] > prediction.inv_depth[50, 10]
    assert prediction.signed_defocus_px[50, 10] > 0 > prediction.signed_defocus_px[50, 120]


def test_convention_defocus_is_in_pixels_of_the_photo(model: Model) -> None:
    small, large = model.predict(ramp(384, 512)), model.predict(ramp(1536, 2048))
    # At the left edge the tiny model answers 10 px of its own input.
    assert small.defocus_px[100, 0] == pytest.approx(10.0, abs=0.1)
    assert large.defocus_px[400, 0] == pytest.approx(40.0, abs=0.4)
    assert small.focus.u_focus == pytest.approx(0.5, abs=0.01) and large.focus.u_focus == pytest.approx(0.5, abs=0.01)
    assert small.focus.kappa_px == pytest.approx(20.0, rel=0.01)
    assert large.focus.kappa_px == pytest.approx(80.0, rel=0.01)


def test_maps_lie_on_the_photo(model: Model) -> None:
    # The edge of a bright half stays where it is, in padded and in box_downsampled images alike.
    for height, width in ((50, 75), (301, 333), (900, 1350)):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, width // 3 :] = 255
        edge = np.argmax(model.predict(pixels).inv_depth[height // 2] > 0.5)
        assert abs(edge - width // 3) <= max(1, width / 512)


def test_metres_from_the_lens(model: Model) -> None:
    # kappa of the lens is 250 px per dioptre, that of the fit 20 px per unit: 0.5 to 0.5 +- 0.5 is +- 0.04 dioptres.
    lens = mddnet.Lens(focal_mm=50, f_number=2, pixel_um=5, focus_m=10)
    array = ramp(96, 128)
    prediction = model.predict(mddnet.Photo(array, lens))
    assert prediction.unit == "1/m" and prediction.depth_m is not None and prediction.lens == lens
    assert prediction.focus.u_focus == pytest.approx(1 / 9.95, rel=1e-3)
    np.testing.assert_allclose(prediction.depth_m, 1 / prediction.inv_depth, rtol=1e-5)
    law = prediction.focus.kappa_px * (prediction.focus.u_focus - prediction.inv_depth)
    np.testing.assert_allclose(law, prediction.signed_defocus_px, atol=0.3)  # a map has a quarter of the pixels
    assert model.predict(mddnet.Photo(array, mddnet.Lens(50, 2, 5))).unit == "1/m from focus"


def test_depth_beyond_infinity_is_infinite_and_noted(model: Model) -> None:
    prediction = model.predict(mddnet.Photo(ramp(384, 512), mddnet.Lens(50, 8, 20, focus_m=1.75)))
    assert prediction.depth_m is not None
    assert 0 < prediction.inv_depth.min() < 1e-4 and prediction.depth_m.max() == np.inf
    assert any("at infinity or beyond" in note for note in prediction.notes)


def test_every_kind_of_input_gives_the_same_maps(model: Model, tmp_path: Path) -> None:
    pixels = ramp(90, 121)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = model.predict(pixels).inv_depth
    several = model.predict(
        [mddnet.Photo(pixels), tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels)]
    )
    several += model.predict((pixels / 255.0, (pixels / 255.0).astype(np.float32)))
    assert len(several) == 6
    for prediction in several:
        np.testing.assert_array_equal(prediction.inv_depth, expected)
    assert model.predict([]) == []
    grey = np.ascontiguousarray(pixels[:, :, 0])
    one, three = model.predict(grey), model.predict(np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(one.inv_depth, three.inv_depth)


@pytest.mark.parametrize("thing", [None, 3, {"a": 1}, b"bytes"])
def test_other_inputs_are_rejected(model: Model, thing: object) -> None:
    with pytest.raises(ImageError, match="Photo, a path"):
        model.predict(thing)  # type: ignore[call-overload]


def test_a_float_image_of_another_scale_is_rejected(model: Model) -> None:
    with pytest.raises(ImageError, match=r"expected sRGB-encoded values in \[0, 1\]"):
        model.predict(ramp(64, 64).astype(np.float32))


def test_predictions_repeat(model: Model, tiny_model: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (333, 777, 3), dtype=np.uint8)
    first, again, other = model.predict(noise), model.predict(noise), mddnet.load(tiny_model, threads=2).predict(noise)
    for prediction in (again, other):
        np.testing.assert_array_equal(prediction.signed_defocus_px, first.signed_defocus_px)
        np.testing.assert_array_equal(prediction.confidence, first.confidence)
        assert prediction.focus == first.focus


def test_a_model_that_shares_the_cores_gives_the_same_bytes(tiny_model: Path) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    alone, beside = (mddnet.load(tiny_model, 2, shares_cores=shared).predict(photo) for shared in (False, True))
    assert np.array_equal(alone.inv_depth, beside.inv_depth) and np.array_equal(alone.defocus_px, beside.defocus_px)


def test_a_flat_photo_has_no_plane_of_focus_but_maps(model: Model) -> None:
    prediction = model.predict(np.full((80, 90, 3), 90, np.uint8))
    assert not prediction.focus.found and prediction.focus.reason
    assert np.isfinite(prediction.signed_defocus_px).all()
    assert prediction.confidence.max() < 0.01  # nothing to see on a wall


def test_notes_of_the_photo_travel_along(model: Model) -> None:
    photo = mddnet.Photo(ramp(64, 64), notes=("The first frame was taken.",))
    assert model.predict(photo).notes[0] == "The first frame was taken."


def test_nan_from_the_network_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    folder = Path(shutil.copytree(tiny_model, tmp_path / "nan"))
    graph = onnx.load(folder / "model.onnx")
    kappa = next(tensor for tensor in graph.graph.initializer if tensor.name == "kappa")
    kappa.CopyFrom(onnx.numpy_helper.from_array(np.array([np.nan], np.float32), "kappa"))
    onnx.save(graph, folder / "model.onnx")
    with pytest.raises(ModelError, match="not finite"):
        mddnet.load(folder).predict(ramp(64, 64))


def test_prediction_needs_no_extra(tiny_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, mddnet\n"
        f"prediction = mddnet.load({str(tiny_model)!r}).predict(np.zeros((64, 64, 3), np.uint8))\n"
        f"prediction.save({str(tmp_path)!r})\n"
        "assert not {'torch', 'scipy', 'cv2', 'onnx', 'pydantic', 'huggingface_hub'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, mddnet\n"
        "assert not {'numpy', 'PIL', 'onnxruntime', 'tifffile', 'rich'} & set(sys.modules)\n"
        "assert {'load', 'read_photo', 'Lens'} <= set(dir(mddnet))\n"
        "for name in mddnet.__all__: getattr(mddnet, name)\n"
        "try: mddnet.nonsense\n"
        "except AttributeError as error: assert 'nonsense' in str(error)\n"
        "else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_blur_beyond_the_cap_is_noted_in_pixels_of_the_photo(model: Model, tiny_model: Path) -> None:
    assert not any("lower limit" in note for note in model.predict(ramp(384, 512)).notes)
    # this model answers up to 10 px; with a cap of 16 px it would be trusted up to 8
    capped = Model(dataclasses.replace(open_model_dir(tiny_model), defocus_cap_px=16.0))
    (note,) = (note for note in capped.predict(ramp(1536, 2048)).notes if "lower limit" in note)
    assert "blurred by 32 px or more" in note  # the photo is four times as large as what the network sees
    share = float(note.split("%")[0])
    assert 15 < share < 25  # |u - 0.5| above 0.4, of a ramp from 0 to 1


def test_maps_are_computed_on_access_and_equal_their_strips(model: Model) -> None:
    photo = mddnet.Photo(ramp(600, 701), mddnet.Lens(focal_mm=50, f_number=2, pixel_um=5, focus_m=10))
    prediction = model.predict(photo)
    assert prediction.size == (600, 701) and prediction.maps.inv_depth.shape == (438, 512)
    assert {"depth_m", "depth_error_m"} <= set(prediction.quantities)
    for quantity in prediction.quantities:
        assert quantity not in vars(prediction)
        expected = getattr(prediction, quantity)
        assert getattr(prediction, quantity) is expected
        joined = np.concatenate([prediction.rows(quantity, start, stop) for start, stop in strips(600)])
        np.testing.assert_array_equal(joined, expected)
        # Strips of any height have no seams.
        odd = np.concatenate([prediction.rows(quantity, start, stop) for start, stop in strips(600, 37)])
        np.testing.assert_allclose(odd, expected, rtol=1e-5, atol=1e-5)


def test_a_second_pass_measures_small_blur_in_the_larger_image(model: Model) -> None:
    # The tiny model answers |20 px (u - 0.5)| in pixels of any input: at twice the size, half of it in the photo.
    usual, refined = model.predict(ramp(1536, 2048)), model.predict(ramp(1536, 2048), refine=True)
    assert refined.refined and not usual.refined
    near, far = 1024 + 120, 1024 + 1000  # CoC of 1.2 and 9.8 px in the first pass
    assert usual.defocus_px[700, near] == pytest.approx(4 * 20 * 120 / 2048, rel=0.05)
    assert refined.defocus_px[700, near] == pytest.approx(2 * 20 * 120 / 2048, rel=0.05)
    assert refined.defocus_px[700, far] == pytest.approx(usual.defocus_px[700, far], rel=0.01)
    # A photo of 512 px is upsampled for the second pass; one of 256 px is upsampled as much for the first.
    assert model.predict(ramp(384, 512), refine=True).defocus_px[175, 286] == pytest.approx(10 * 30 / 512, rel=0.1)
    small = model.predict(ramp(192, 256), refine=True)
    np.testing.assert_array_equal(small.defocus_px, model.predict(ramp(192, 256)).defocus_px)


def test_no_depth_is_behind_infinity(model: Model) -> None:
    # Focused at 2 m, f/8 and large pixels: 9 px of blur at the left edge are more than infinity has, 0.3 px.
    prediction = model.predict(mddnet.Photo(ramp(96, 128), mddnet.Lens(10, 8, 20, focus_m=2)))
    assert prediction.unit == "1/m" and prediction.depth_m is not None and prediction.depth_error_m is not None
    blurred = prediction.defocus_px > 4
    assert (prediction.signed_defocus_px[blurred] < 0).all()
    assert (prediction.depth_m[blurred] < 2).all()
    assert np.isfinite(prediction.depth_error_m).all() and prediction.depth_error_m.min() > 0
    assert prediction.depth_of_field is not None and prediction.depth_of_field.near_m < 2


def test_a_prediction_prints_as_a_summary_and_shows_its_preview_in_notebooks(model: Model) -> None:
    photo = Photo(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8), notes=("A <note>.",))
    prediction = model.predict(photo)
    text = repr(prediction)
    assert "64 x 48 px" in text and prediction.unit in text and "A <note>." in text and "array" not in text
    html = prediction._repr_html_()
    start = html.index("base64,") + len("base64,")
    with Image.open(io.BytesIO(base64.b64decode(html[start : html.index('"', start)]))) as image:
        assert image.format == "PNG" and image.width <= 800
    assert "A &lt;note&gt;." in html and "A <note>." not in html
