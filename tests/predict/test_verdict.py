"""Verdicts, expected errors and their calibration; motion blur and computed bokeh as reasons against a photo."""

from __future__ import annotations

import io
import json
import math
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mddnet
from mddnet.errors import ModelError
from mddnet.photo.computed_bokeh import computed_bokeh
from mddnet.photo.reader import read_photo
from mddnet.predict.calibration import Linear, Rule
from mddnet.predict.confidence import confidence_of
from mddnet.predict.cues import CELL_CUES, PHOTO_CUES, same_order, sign_entropy
from mddnet.predict.motion_blur import has_motion_blur
from mddnet.predict.prediction import Prediction
from mddnet.predict.verdict import CALLS, NOT_CALIBRATED, UNKNOWN
from mddnet.types import UInt8Array

SCORE_OF_GOOD = math.log(0.85 / 0.15)
ONE = {"constant": 0.0, "weights": {}}
RULE = {"score": {**ONE, "constant": 4.0}, "spread": 0.5, "good_from": 0.7, "do_not_trust_below": 0.2}
SECTION = {
    "verdict": {"depth": RULE, "defocus": RULE},
    "expected_error": {
        "inv_depth": {"constant": math.log(0.05), "weights": {}},
        "defocus": {"constant": math.log(2.0), "weights": {}},
    },
    "camera_error": {"field_of_view": 2.0, "median_depth": 3.0},
    "metres": {"factor": 0.7, "most": 0.5},
}


def photo(seed: int = 0, size: tuple[int, int] = (384, 512)) -> UInt8Array:
    """Noise of all scales, as of a photo with detail: red, which is depth to the tiny model, rises to the right."""
    rng = np.random.default_rng(seed)
    grey = np.zeros(size)
    for step in (1, 2, 4, 8, 16, 32):
        rough = rng.normal(size=(size[0] // step + 1, size[1] // step + 1)).astype(np.float32)
        grey += 6 * np.asarray(Image.fromarray(rough).resize(size[::-1], Image.Resampling.BICUBIC))
    picture = np.dstack([grey + 60 + np.linspace(0, 120, size[1]), grey + 120, grey + 120])
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture
def calibrated(tiny_model: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "calibrated"))
    return with_section(folder, SECTION)


def with_section(folder: Path, section: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "calibration": section}))
    return folder


def with_score(folder: Path, score: float) -> Path:
    section: dict[str, Any] = deepcopy(SECTION)
    for rule in section["verdict"].values():
        rule["score"]["constant"] = score
    return with_section(folder, section)


def test_a_model_without_calibration_gives_no_verdict(tiny_model: Path, tmp_path: Path) -> None:
    prediction = mddnet.load(tiny_model).predict(photo())
    assert prediction.verdict == UNKNOWN and prediction.verdict.depth.call == "unknown"
    assert prediction.expected_inv_depth_error is None and prediction.expected_defocus_error_px is None
    facts = json.loads(prediction.save(tmp_path, "x")["facts"].read_text())
    unknown = {"call": "unknown", "reason": NOT_CALIBRATED, "probability": None}
    assert facts["verdict"] == {"depth": unknown, "defocus": unknown}


@pytest.mark.parametrize(
    ("score", "call"),
    # With a spread of 0.5: probabilities of .5, .73 (log-odds 1), .12 (log-odds -2).
    [(SCORE_OF_GOOD, "partly"), (SCORE_OF_GOOD + 0.5, "good"), (SCORE_OF_GOOD - 1.0, "do_not_trust")],
)
def test_the_call_follows_from_the_probability(calibrated: Path, score: float, call: str) -> None:
    verdict = mddnet.load(with_score(calibrated, score)).predict(photo()).verdict
    assert verdict.depth.call == verdict.defocus.call == call
    assert verdict.depth.probability == pytest.approx(1 / (1 + math.exp(-(score - SCORE_OF_GOOD) / 0.5)))
    assert (verdict.defocus.reason is None) == (call == "good")


def test_probabilities_stay_finite() -> None:
    rule = Rule(Linear(0.0, {}), 0.001, 0.7, 0.2)
    assert 0 <= rule.probability(-1e6) < 1e-9 and 1 - 1e-9 < rule.probability(1e6) <= 1


def test_cues_add_up() -> None:
    linear = Linear(1.0, {"log_blur": 2.0, "log_misfit": -1.0})
    assert linear.of_photo({"log_blur": 3.0, "log_misfit": 4.0, "other": 9.0}) == 3.0
    cells = linear.of_cells({"log_blur": np.full((2, 3), 3, np.float32), "log_misfit": np.eye(2, 3, dtype=np.float32)})
    assert np.array_equal(cells, np.array([[6, 7, 7], [7, 6, 7]], np.float32))


def test_expected_errors_and_confidence(calibrated: Path) -> None:
    """An expected error of 5 % of the range everywhere: confidence 1 / (1 + .5); of the CoC 2 px of the network's."""
    pixels = photo(size=(768, 1024))
    prediction = mddnet.load(calibrated).predict(pixels)
    low, high = np.percentile(prediction.maps.inv_depth, (2, 98))
    error, error_px = prediction.expected_inv_depth_error, prediction.expected_defocus_error_px
    assert error is not None and error_px is not None and error.shape == error_px.shape == (768, 1024)
    assert np.allclose(error, 0.05 * (high - low), rtol=1e-4) and np.allclose(error_px, 4.0, rtol=1e-4)
    assert np.allclose(prediction.confidence, 1 / 1.5, rtol=1e-4)


def test_the_errors_of_the_camera_are_calibrated(calibrated: Path, tiny_model: Path) -> None:
    cameras = [mddnet.load(folder).predict(photo()).camera for folder in (tiny_model, calibrated)]
    assert cameras[0] is not None and cameras[1] is not None
    assert cameras[1].tan_half_fov_error == pytest.approx(2 * cameras[0].tan_half_fov_error)
    assert cameras[1].median_depth_error == pytest.approx(3 * cameras[0].median_depth_error)
    assert cameras[1].median_depth_m == cameras[0].median_depth_m


def test_confidence_falls_with_the_expected_error() -> None:
    values = confidence_of(np.array([0.0, 0.1, 0.3, 1e9], np.float32))
    assert np.allclose(values, [1, 0.5, 0.25, 0], atol=1e-6) and (np.diff(values) < 0).all()


def test_every_cue_is_computed_and_finite(calibrated: Path) -> None:
    """With a weight on each cue, on photos of noise, of one grey, and black."""
    section: dict[str, Any] = deepcopy(SECTION)
    for rule in section["verdict"].values():
        rule["score"]["weights"] = dict.fromkeys(PHOTO_CUES, 0.01)
    for linear in section["expected_error"].values():
        linear["weights"] = dict.fromkeys(CELL_CUES, 0.01)
    model = mddnet.load(with_section(calibrated, section))
    for pixels in (photo(), np.full((384, 512, 3), 128, np.uint8), np.zeros((48, 64, 3), np.uint8)):
        prediction = model.predict(pixels)
        probability = prediction.verdict.depth.probability
        assert probability is not None and 0 <= probability <= 1
        for values in (prediction.confidence, prediction.expected_inv_depth_error):
            assert values is not None and np.isfinite(values).all() and (values >= 0).all()
        assert prediction.confidence.max() <= 1


@pytest.mark.parametrize(
    ("pixels", "word"),
    [
        (np.full((384, 512, 3), 128, np.uint8), "unlike"),
        (photo(size=(96, 128)), "px"),
    ],
)
def test_limits_allow_no_good_call(calibrated: Path, pixels: UInt8Array, word: str) -> None:
    verdict = mddnet.load(calibrated).predict(pixels).verdict
    for judgement in (verdict.depth, verdict.defocus):
        assert judgement.call == "partly" and judgement.reason is not None and word in judgement.reason
        assert judgement.probability is not None and judgement.probability > 0.9  # by the rule alone it is good


def test_depth_of_a_prior_has_no_verdict(calibrated: Path) -> None:
    pixels = photo()
    verdict = mddnet.load(calibrated).predict(pixels, depth_prior=pixels[..., 0].astype(np.float32)).verdict
    assert verdict.depth.call == "unknown" and "prior" in str(verdict.depth.reason) and verdict.defocus.call == "good"


def damaged(change: Any, *keys: str) -> object:
    section: dict[str, Any] = deepcopy(SECTION)
    inner = section
    for key in keys[:-1]:
        inner = inner[key]
    if change is KeyError:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = change
    return section


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (None, "calibration"),
        ([], "calibration"),
        (damaged(KeyError, "verdict"), "expected_error"),
        (damaged(KeyError, "verdict", "depth", "spread"), "verdict.depth"),
        (damaged(0.0, "verdict", "depth", "spread"), "spread"),
        (damaged(True, "verdict", "depth", "good_from"), "good_from"),
        (damaged(1.5, "verdict", "defocus", "good_from"), "good_from"),
        (damaged(0.9, "verdict", "defocus", "do_not_trust_below"), "do_not_trust_below"),
        (damaged({"no_cue": 1.0}, "verdict", "depth", "score", "weights"), "no_cue"),
        (damaged({"log_gain": "1"}, "verdict", "depth", "score", "weights"), "log_gain"),
        (damaged({"log_gain": 1.0}, "expected_error", "defocus", "weights"), "log_gain"),
        (damaged(float("nan"), "expected_error", "inv_depth", "constant"), "constant"),
        (damaged(1, "verdict", "depth", "more"), "more"),
        (damaged(KeyError, "camera_error"), "camera_error"),
        (damaged(0.0, "metres", "factor"), "metres"),
        (damaged(0.5, "camera_error", "median_depth"), "median_depth"),
    ],
)
def test_a_damaged_calibration_is_refused(tiny_model: Path, tmp_path: Path, section: object, words: str) -> None:
    folder = with_section(Path(shutil.copytree(tiny_model, tmp_path / "damaged")), section)
    with pytest.raises(ModelError) as error:
        mddnet.load(folder)
    message = str(error.value)
    assert words in message and "config.json" in message and "expected" in message and "calibrate" in message


def test_entropy_of_the_sign() -> None:
    values = sign_entropy(np.array([0.0, math.log(3), -math.log(3), 100.0], np.float32))
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert np.allclose(values, [1, quarter, quarter, 0], atol=1e-6)


def test_same_order() -> None:
    depth = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    assert same_order(depth, depth**3) == 1 and same_order(depth, -depth) == 0
    assert same_order(np.zeros_like(depth), depth) == 0.5
    assert 0.4 < same_order(depth, np.random.default_rng(1).random((20, 30)).astype(np.float32)) < 0.6


def averaged(pixels: UInt8Array, offsets: list[tuple[int, int]]) -> UInt8Array:
    shifted = [np.roll(pixels, offset, axis=(0, 1)).astype(np.float32) for offset in offsets]
    return np.mean(shifted, axis=0).astype(np.uint8)


def test_motion_is_found_and_defocus_is_not_taken_for_it() -> None:
    lines = [[(0, k) for k in range(12)], [(k, k) for k in range(10)], [(k, 2 * k) for k in range(8)]]
    disc = [(y, x) for y in range(-6, 7) for x in range(-6, 7) if y * y + x * x <= 36]
    found, false = 0, 0
    for seed in range(4):
        sharp = photo(seed)
        found += sum(has_motion_blur(averaged(sharp, line)) for line in lines)
        false += has_motion_blur(sharp) + has_motion_blur(averaged(sharp, disc))
    assert found >= 9 and false == 0, (found, false)


def test_motion_blur_limits_the_verdict_on_defocus(calibrated: Path) -> None:
    verdict = mddnet.load(calibrated).predict(averaged(photo(), [(0, k) for k in range(16)])).verdict
    assert verdict.defocus.call == "partly" and "motion" in str(verdict.defocus.reason)
    assert verdict.depth.call == "good"


def test_motion_of_plain_and_tiny_images() -> None:
    assert not has_motion_blur(np.full((384, 512, 3), 128, np.uint8))
    assert not has_motion_blur(np.zeros((384, 512, 3), np.uint8))
    assert not has_motion_blur(photo(size=(32, 512)))


def test_computed_bokeh_by_its_tags() -> None:
    assert computed_bokeh({0xA401: 8}, None) and computed_bokeh({0xA401: 7}, None)
    assert not computed_bokeh({0xA401: 1}, None) and not computed_bokeh({0xA401: "8"}, b"nothing")
    google = 'xmlns:GFocus="http://ns.google.com/photos/1.0/focus/"'
    assert computed_bokeh({}, google.encode()) == computed_bokeh({}, google) != ""
    assert not computed_bokeh({}, 7) and not computed_bokeh({}, b" " * 2**20 + google.encode())


@pytest.mark.parametrize("how", ["exif", "xmp"])
def test_a_portrait_mode_is_a_reason(calibrated: Path, tmp_path: Path, how: str) -> None:
    path, exif = tmp_path / "portrait.jpg", Image.Exif()
    exif.get_ifd(0x8769)[0xA401] = 8
    xmp = b'<x:xmpmeta xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/"/>'
    Image.fromarray(photo()).save(path, **({"exif": exif} if how == "exif" else {"xmp": xmp}))
    assert read_photo(path).computed_bokeh
    verdict = mddnet.load(calibrated).predict(path).verdict
    assert verdict.defocus.call == "partly" and "computed" in str(verdict.defocus.reason)


def test_a_photo_without_such_signs(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(photo()).save(stream, "JPEG")
    path = tmp_path / "plain.jpg"
    path.write_bytes(stream.getvalue())
    assert read_photo(path).computed_bokeh == ""


def shipped(path: Path) -> Prediction:
    if not mddnet.load().model_dir.calibration:
        pytest.skip("the shipped model is not calibrated")
    return mddnet.load().predict(path)


def test_a_real_frame_by_the_shipped_model(shared_data: Path) -> None:
    frames = sorted((shared_data / "captures" / "focal_stacks" / "dslr_table").glob("frame_*.jpg"))
    if not frames:
        pytest.skip("no focal stack dslr_table")
    prediction = shipped(frames[len(frames) // 2])
    for judgement in (prediction.verdict.depth, prediction.verdict.defocus):
        assert judgement.call in CALLS and judgement.call != "unknown" and judgement.probability is not None
    error = prediction.maps.expected_defocus_error_px
    assert error is not None and (error > 0).all() and np.isfinite(error).all()
    assert 0 <= prediction.confidence.min() < prediction.confidence.max() <= 1
