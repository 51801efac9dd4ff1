"""Depth of another network or tool: its layout stays, blur gives sign and metres, mistakes are named."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.predict.test_fusion import answers, cells, order, signs_right, smooth

import mddnet
from mddnet.cli.main import main
from mddnet.errors import ImageError
from mddnet.optics import focus_z_from_sensor_plane_m, lens_kappa_px
from mddnet.predict.depth_prior import DepthPrior, FilePriors, prior_of, read_prior, with_prior
from mddnet.predict.fusion import Fusion, fuse
from mddnet.predict.predictor import Model
from mddnet.types import Float32Array, Lens

LENS = Lens(focal_mm=50, f_number=2.8, pixel_um=20, focus_m=2.0)
FOCUS_Z_M = focus_z_from_sensor_plane_m(2.0, 50)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return mddnet.load(tiny_model, threads=1)


def enlarged(values: Float32Array) -> Float32Array:
    return np.asarray(Image.fromarray(values).resize((256, 192), Image.Resampling.BILINEAR))


def fused_with(prior: Float32Array, u: Float32Array, signed_px: Float32Array, lens: Lens, odds: float) -> Fusion:
    """The fusion of a prior with a network that sees the blur exactly, and a depth that is noise."""
    network = answers(u, signed_px, depth=smooth(8), odds=odds)
    given, _ = with_prior(network, DepthPrior(prior), lens)
    return fuse(given, lens)


@pytest.mark.parametrize("shape", [lambda u: 7 * u - 3, lambda u: np.sqrt(u), lambda u: u * u])
def test_a_prior_of_another_scale_or_gamma_gets_metres_and_signs_by_the_blur(shape) -> None:
    inv_depth_m = (0.2 + 0.6 * smooth(1)).astype(np.float32)
    signed = (lens_kappa_px(LENS, FOCUS_Z_M) * (1 / FOCUS_Z_M - inv_depth_m)).astype(np.float32)
    assert np.abs(signed).max() > 8
    prior = enlarged(shape(inv_depth_m).astype(np.float32))
    fused = fused_with(prior, inv_depth_m, signed, LENS, odds=1)
    assert fused.unit == "1/m" and signs_right(fused, signed) > 0.98
    assert order(fused.maps.inv_depth, inv_depth_m) > 0.99
    error = np.abs(cells(fused.maps.inv_depth) - inv_depth_m) / inv_depth_m
    assert np.median(error) < 0.08


def test_a_sharp_photo_keeps_the_order_of_the_prior_pixel_by_pixel() -> None:
    prior = np.random.default_rng(0).permutation(192 * 256).reshape(192, 256).astype(np.float32)
    u = smooth(1)
    fused = fused_with(prior, u, np.zeros_like(u), LENS, odds=0)
    assert not fused.focus.found and fused.unit == "relative"
    assert np.corrcoef(np.argsort(np.argsort(fused.maps.inv_depth.ravel())), prior.ravel())[0, 1] > 0.9999


def test_an_inverted_prior_is_turned_where_blur_shows_it_and_left_with_a_note_elsewhere() -> None:
    u = smooth(1)
    signed = (24 * (0.3 - u)).astype(np.float32)
    for prior, says in ((u, ""), (-u, "inverted")):
        network = answers(u, signed, depth=(u + 0.3 * smooth(3)).astype(np.float32), odds=2)
        given, notes = with_prior(network, DepthPrior(enlarged(prior), source="map.png"), Lens())
        assert says in " ".join(notes) and bool(notes) == bool(says)
        assert order(fuse(given, Lens()).maps.inv_depth, u) > 0.99
    _, notes = with_prior(answers(u, np.zeros_like(u)), DepthPrior(enlarged(-u)), Lens())
    assert len(notes) == 1 and "is not known" in notes[0]


def test_depth_in_metres_becomes_its_inverse() -> None:
    prior = DepthPrior.from_depth_m(np.array([[0.5, 4.0], [np.inf, 1.0]]))
    np.testing.assert_allclose(prior.inv_depth, [[2.0, 0.25], [0.0, 1.0]])
    assert prior.unit == "1/m"


@pytest.mark.parametrize("name", ["map.npy", "map.png", "map.tiff", "map.depth_m.npy"])
def test_files_are_read_as_larger_is_nearer_or_metres(tmp_path: Path, name: str) -> None:
    values = np.array([[1, 2], [4, 8]], np.uint16)
    path = tmp_path / name
    if name.endswith(".npy"):
        np.save(path, values.astype(np.float32))
    elif name.endswith(".png"):
        Image.fromarray(values).save(path)
    else:
        tifffile.imwrite(path, values)
    prior = read_prior(path)
    metric = "depth_m" in name
    np.testing.assert_allclose(prior.inv_depth, 1 / values if metric else values)
    assert prior.unit == ("1/m" if metric else "relative") and prior.source == str(path)


def test_what_is_no_depth_map_is_refused_with_its_name(tmp_path: Path) -> None:
    holes = np.ones((4, 4), np.float32)
    holes[0, 0] = np.nan
    np.save(tmp_path / "holes.npy", holes)
    np.save(tmp_path / "objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "line.npy", np.ones(4))
    np.save(tmp_path / "behind.depth_m.npy", -np.ones((4, 4)))
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    (tmp_path / "text.txt").write_text("1")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ImageError, match=path.name):
            read_prior(path)
    with pytest.raises(ImageError, match=r"8 x 4 px .* 8 x 8 px"):
        prior_of(np.ones((4, 8)), np.zeros((8, 8, 3), np.uint8))


def test_a_folder_has_a_map_for_each_photo(tmp_path: Path) -> None:
    for name in ("a.depth.png", "a.png", "b.npy"):
        (tmp_path / name).touch()
    priors = FilePriors(tmp_path)
    assert priors.of(Path("x/a.jpg")).name == "a.depth.png" and priors.of(Path("b.jpg")).name == "b.npy"
    with pytest.raises(ImageError, match=r"c\.jpg: no depth prior"):
        priors.of(Path("c.jpg"))
    (tmp_path / "d.png").touch()
    with pytest.raises(ImageError, match="no depth prior"):
        priors.of(tmp_path / "d.png")  # the photo itself is not its depth


def test_metric_depth_of_a_prior_is_that_of_the_prediction_without_a_lens(model: Model) -> None:
    photo = np.zeros((64, 96, 3), np.uint8)
    depth_m = np.broadcast_to(np.linspace(1, 5, 96, dtype=np.float32), (64, 96))
    prediction = model.predict(photo, depth_prior=DepthPrior.from_depth_m(depth_m, "rangefinder"))
    assert prediction.unit == "1/m" and prediction.depth_m is not None and prediction.depth_prior == "rangefinder"
    np.testing.assert_allclose(prediction.depth_m, depth_m, rtol=0.02)
    assert any("rangefinder" in note for note in prediction.notes)


def test_a_function_gives_the_prior_of_each_photo(model: Model) -> None:
    photos = [np.zeros((64, 96, 3), np.uint8), np.zeros((96, 64, 3), np.uint8)]
    ramps = model.predict(list(photos), depth_prior=lambda pixels: np.indices(pixels.shape[:2])[0])
    for prediction in ramps:
        down = prediction.inv_depth.mean(axis=1)
        assert (np.diff(down) > 0).all()


def test_the_command_line_takes_a_map_and_makes_results_again_for_another(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, out = tmp_path / "cup.png", tmp_path / "out"
    Image.new("RGB", (96, 64)).save(photo)
    for name in ("one.npy", "two.npy"):
        np.save(tmp_path / name, np.indices((64, 96))[1].astype(np.float32))
    command = ["predict", str(photo), "-o", str(out), "--model", str(tiny_model), "--resume", "--depth-prior"]
    for prior, again in (("one.npy", False), ("one.npy", True), ("two.npy", False)):
        assert main([*command, str(tmp_path / prior)]) == 0
        assert ("done before" in capsys.readouterr().out) == again
    assert json.loads((out / "cup.json").read_text())["depth_prior"] == str(tmp_path / "two.npy")
    assert main([*command, str(tmp_path / "none.npy")]) == 2
    assert main([*command, "zhuo-sim"]) == 2  # which estimates blur
    words = capsys.readouterr().err
    assert "none.npy" in words and "zhuo-sim" in words
    assert ("expected a depth network" if find_spec("cv2") else "needs the package cv2") in words
