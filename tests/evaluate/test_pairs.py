"""Near/far pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mddnet.errors import CaptureError
from mddnet.evaluate.coc_slope import blurred_by_disc
from mddnet.evaluate.pairs import PairRow, SharperMasks, clearly_sharper, list_pairs, pair_row, read_pair
from mddnet.types import Float32Array, UInt8Array


def half_focused() -> tuple[UInt8Array, UInt8Array]:
    sharp = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    blurred = blurred_by_disc(sharp, 6.0)
    left = np.arange(100)[None, :, None] < 50
    return np.where(left, sharp, blurred), np.where(left, blurred, sharp)


def scored(name: str, first: Float32Array, second: Float32Array, masks: SharperMasks) -> PairRow:
    return pair_row(name, (first, second), (first > 3, second > 3), masks)


def test_the_sharper_half_is_found_and_scored_by_hand() -> None:
    first, second = half_focused()
    masks = clearly_sharper(first, second)
    assert masks.first[:, :45].mean() > 0.5 and not masks.first[:, 55:].any()
    assert masks.second[:, 55:].any() and not (masks.first & masks.second).any()
    left = np.broadcast_to(np.arange(100)[None, :] < 50, (80, 100))
    right_answer = np.where(left, 0.0, 6.0).astype(np.float32), np.where(left, 6.0, 0.0).astype(np.float32)
    row = scored("half", *right_answer, masks)
    assert row.accuracy > 0.99 and row.pixels == masks.first.sum() + masks.second.sum()
    assert row.first_share == pytest.approx(masks.first.sum() / row.pixels)
    assert row.detection == {"blur_ap": 1.0, "blur_f": 1.0, "blur_iou": 1.0, "blur_mae": 0.0}
    same = np.ones((80, 100), dtype=np.float32)
    assert scored("tie", same, same, masks).accuracy == 0.5
    # "the second photo is blurrier everywhere" is right exactly where the first is sharper
    assert scored("one", 0 * same, same, masks).accuracy == pytest.approx(row.first_share)


def test_blur_detection_on_a_pair_by_hand() -> None:
    first, second = np.zeros((1, 4), dtype=bool), np.zeros((1, 4), dtype=bool)
    first[0, 0] = second[0, 1] = second[0, 2] = True
    masks = SharperMasks(first, second)
    # blurred in truth: pixel 0 of the second photo, pixels 1 and 2 of the first; pixel 3 is not asked
    one = np.array([[0.0, 9.0, 1.0, 0.0]], dtype=np.float32)
    other = np.array([[5.0, 4.0, 0.0, 9.0]], dtype=np.float32)
    row = scored("hand", one, other, masks)
    # found above 3 px: pixel 1 of the first, pixels 0 and 1 of the second: two of three right, one missed
    assert row.accuracy == 1.0 and row.pixels == 3
    assert row.detection["blur_f"] == pytest.approx(2 / 3) and row.detection["blur_iou"] == pytest.approx(2 / 4)
    assert row.detection["blur_mae"] == pytest.approx(2 / 6)
    # 9, 5, 4, 1: right, right, wrong, right
    assert row.detection["blur_ap"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    order_alone = pair_row("order", (one, other), (None, None), masks)
    assert set(order_alone.detection) == {"blur_ap"}


def test_equal_photos_and_noise_have_no_clear_pixel() -> None:
    first, _ = half_focused()
    masks = clearly_sharper(first, first)
    row = scored("equal", np.zeros((80, 100), np.float32), np.ones((80, 100), np.float32), masks)
    assert row.pixels == 0 and np.isnan(row.accuracy)
    faint = np.clip(128 + np.random.default_rng(1).normal(0, 0.6, (80, 100, 3)), 0, 255).astype(np.uint8)
    flat = np.full((80, 100, 3), 128, dtype=np.uint8)
    assert not clearly_sharper(faint, flat).first.any()


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no pair"):
        list_pairs(tmp_path)
    for name, files in (("b", "AB"), ("a", "AB"), ("three", "ABC")):
        (tmp_path / name).mkdir()
        for letter in files:
            Image.new("L", (8, 6), 10).save(tmp_path / name / f"{letter}.png")
    assert [p.name for p in list_pairs(tmp_path)] == ["a", "b"]
    first, second = read_pair(tmp_path / "a")
    assert first.shape == second.shape == (6, 8, 3)
    Image.new("L", (9, 6)).save(tmp_path / "a" / "B.png")
    with pytest.raises(CaptureError, match="sizes"):
        read_pair(tmp_path / "a")


def test_real_pairs_have_clear_pixels_on_both_sides(shared_data: Path) -> None:
    folders = list_pairs(shared_data / "pairs")
    assert folders == sorted(p for p in (shared_data / "pairs").iterdir() if len(list(p.glob("*.jpg"))) == 2)
    for folder in folders:
        masks = clearly_sharper(*read_pair(folder))
        assert min(masks.first.mean(), masks.second.mean()) > 0.01, folder.name
        assert masks.first.mean() + masks.second.mean() > 0.1, folder.name
        assert not (masks.first & masks.second).any()
