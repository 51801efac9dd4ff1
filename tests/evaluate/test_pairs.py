"""Near/far pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mddnet.errors import CaptureError
from mddnet.evaluate.discs import blurred
from mddnet.evaluate.pairs import clearly_sharper, pair_source, pair_truth
from mddnet.metrics import Comparison, Estimate, Truth, measure
from mddnet.types import Float32Array, UInt8Array


def half_focused() -> tuple[UInt8Array, UInt8Array]:
    sharp = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    soft = blurred(sharp, 6.0)
    left = np.arange(100)[None, :, None] < 50
    return np.where(left, sharp, soft), np.where(left, soft, sharp)


def scored(truth: Truth, first: Float32Array, second: Float32Array) -> dict[str, float]:
    return measure(Comparison(truth, Estimate(defocus_px=np.concatenate([first, second]))))


def test_the_sharper_half_is_found_and_scored_by_hand() -> None:
    first, second = half_focused()
    at_first, at_second = clearly_sharper(first, second)
    assert at_first[:, :45].mean() > 0.5 and not at_first[:, 55:].any()
    assert at_second[:, 55:].any() and not (at_first & at_second).any()
    truth = pair_truth(first, second)
    left = np.broadcast_to(np.arange(100)[None, :] < 50, (80, 100))
    row = scored(truth, np.where(left, 0.0, 6.0).astype(np.float32), np.where(left, 6.0, 0.0).astype(np.float32))
    assert row["near_far_accuracy"] > 0.99 and row["near_far_pixels"] == at_first.sum() + at_second.sum()
    assert [row[f"blur_{name}"] for name in ("ap", "f", "iou", "mae")] == [1.0, 1.0, 1.0, 0.0]
    same = np.ones((80, 100), dtype=np.float32)
    assert scored(truth, same, same)["near_far_accuracy"] == 0.5
    # "the second photo is blurrier everywhere" is right exactly where the first is sharper
    share = at_first.sum() / row["near_far_pixels"]
    assert scored(truth, 0 * same, same)["near_far_accuracy"] == pytest.approx(share)


def test_blur_detection_on_a_pair_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    at_first, at_second = np.zeros((1, 4), dtype=bool), np.zeros((1, 4), dtype=bool)
    at_first[0, 0] = at_second[0, 1] = at_second[0, 2] = True
    monkeypatch.setattr("mddnet.evaluate.pairs.clearly_sharper", lambda first, second: (at_first, at_second))
    truth = pair_truth(np.zeros((1, 4, 3), np.uint8), np.zeros((1, 4, 3), np.uint8))
    # blurred in truth: pixel 0 of the second photo, pixels 1 and 2 of the first; pixel 3 is not clear
    one = np.array([[0.0, 9.0, 1.0, 0.0]], dtype=np.float32)
    other = np.array([[5.0, 4.0, 0.0, 9.0]], dtype=np.float32)
    row = scored(truth, one, other)
    # found above 3 px: pixel 1 of the first, pixels 0 and 1 of the second: two of three right, one missed
    assert row["near_far_accuracy"] == 1.0 and row["near_far_pixels"] == 3
    assert row["blur_f"] == pytest.approx(2 / 3) and row["blur_iou"] == pytest.approx(2 / 4)
    assert row["blur_mae"] == pytest.approx(2 / 6)
    # 9, 5, 4, 1: right, right, wrong, right
    assert row["blur_ap"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    order_alone = measure(Comparison(truth, Estimate(blur_score=np.concatenate([one, other]))))
    assert {"blur_ap", "near_far_accuracy"} <= set(order_alone) and "blur_f" not in order_alone


def test_equal_photos_and_noise_have_no_clear_pixel() -> None:
    first, _ = half_focused()
    row = scored(pair_truth(first, first), np.zeros((80, 100), np.float32), np.ones((80, 100), np.float32))
    assert row["near_far_pixels"] == 0 and np.isnan(row["near_far_accuracy"]) and "blur_ap" not in row
    faint = np.clip(128 + np.random.default_rng(1).normal(0, 0.6, (80, 100, 3)), 0, 255).astype(np.uint8)
    flat = np.full((80, 100, 3), 128, dtype=np.uint8)
    assert not clearly_sharper(faint, flat)[0].any()


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no pair"):
        pair_source(tmp_path)
    for name, files in (("b", "AB"), ("a", "AB"), ("three", "ABC")):
        (tmp_path / name).mkdir()
        for letter in files:
            Image.new("L", (8, 6), 10).save(tmp_path / name / f"{letter}.png")
    samples = pair_source(tmp_path).samples
    assert [sample.scene for sample in samples] == ["a", "b"]
    truth = samples[0].load()
    assert truth is not None and truth.photo.shape == (12, 8, 3)
    Image.new("L", (9, 6)).save(tmp_path / "a" / "B.png")
    with pytest.raises(CaptureError, match="sizes"):
        samples[0].load()


def test_real_pairs_have_clear_pixels_on_both_sides(shared_data: Path) -> None:
    samples = pair_source(shared_data / "pairs").samples
    assert len(samples) == sum(len(list(p.glob("*.jpg"))) == 2 for p in (shared_data / "pairs").iterdir())
    for sample in samples:
        truth = sample.load()
        assert truth is not None and truth.near_far_pairs is not None
        pixels = truth.photo.shape[0] * truth.photo.shape[1] // 2
        first_sharper = int((truth.near_far_pairs.nearer >= pixels).sum())
        second_sharper = len(truth.near_far_pairs) - first_sharper
        assert min(first_sharper, second_sharper) > 0.01 * pixels, sample.scene
        assert first_sharper + second_sharper > 0.1 * pixels, sample.scene
