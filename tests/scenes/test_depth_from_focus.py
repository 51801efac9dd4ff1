from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.support.made_focal_stack import made_stack

from mddnet.color import linear_from_srgb8, srgb_from_linear
from mddnet.scenes.depth_from_focus import (
    FocusDepth,
    GuidedFilter,
    complete,
    depth_from_cost,
    depth_from_sharpness,
    peak_position,
    upsample,
)
from mddnet.scenes.kappa_fit import blur_bank, encoded_luminance, rerender_cost
from mddnet.scenes.sharpness import sharpness_profile

POSITIONS = 1.2 * np.arange(9)


def inside_slabs(width: int) -> np.ndarray:
    """Columns at least a tenth of the width away from the steps between slabs."""
    x = (np.arange(width) + 0.5) / width
    return (np.abs(x - 1 / 3) > 0.06) & (np.abs(x - 2 / 3) > 0.06)


def test_peak_between_frames() -> None:
    # Through 1, 3, 2 the parabola peaks at 1 + (1 - 2) / (2 (1 - 6 + 2)) = 7/6.
    scores = np.array([1.0, 3.0, 2.0], dtype=np.float32).reshape(3, 1, 1)
    assert peak_position(scores)[0, 0] == pytest.approx(7 / 6)


def test_peak_of_a_gaussian_through_its_logarithm_is_exact_and_ends_do_not_extrapolate() -> None:
    i = np.arange(8)[:, None]
    centre = np.array([[2.3, 5.0, 4.61]])
    scores = np.log(np.exp(-((i - centre) ** 2) / 3)).astype(np.float32)[:, None, :]
    np.testing.assert_allclose(peak_position(scores)[0], centre[0], atol=1e-4)
    rising = np.arange(5, dtype=np.float32).reshape(5, 1, 1)
    assert peak_position(rising)[0, 0] == 4 and peak_position(-rising)[0, 0] == 0


def test_guided_filter_keeps_what_is_linear_in_the_guide_and_averages_what_is_not() -> None:
    guide = np.random.default_rng(0).random((30, 40, 3), dtype=np.float32)
    smooth = GuidedFilter(guide, 3, 1e-6)
    np.testing.assert_allclose(smooth(2 * guide[:, :, 1] + 0.5), 2 * guide[:, :, 1] + 0.5, atol=1e-3)
    flat = GuidedFilter(np.zeros((30, 40, 3), dtype=np.float32), 3, 1e-3)
    noise = np.random.default_rng(1).random((30, 40), dtype=np.float32)
    twice = cv2.blur(cv2.blur(noise, (7, 7), borderType=cv2.BORDER_REFLECT), (7, 7), borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(flat(noise), twice, atol=1e-4)


def test_sharpness_finds_the_slabs() -> None:
    made = made_stack(POSITIONS)
    linear = [linear_from_srgb8(f) for f in made.frames]
    depth = depth_from_sharpness(sharpness_profile(linear, 1.5), srgb_from_linear(np.mean(linear, axis=0)))
    inside = inside_slabs(160)
    assert np.abs(depth.index - made.index)[:, inside].mean() < 0.35
    assert depth.confidence.min() >= 0 and depth.confidence.max() <= 1


def test_cost_finds_the_slabs_with_low_confidence_for_moving_and_flat_areas() -> None:
    flat = (slice(70, 110), slice(60, 100))
    made = made_stack(POSITIONS, flat=flat)
    frames = [f.copy() for f in made.frames]
    moved = (slice(10, 50), slice(60, 100))
    rng = np.random.default_rng(3)
    for frame in frames:
        frame[moved] = cv2.resize(rng.integers(0, 256, (10, 10, 3), dtype=np.uint8), (40, 40))
        frame[:] = np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255)
    sharp = linear_from_srgb8(made.sharp)
    encoded = [encoded_luminance(linear_from_srgb8(f)) for f in frames]
    bank = blur_bank(sharp, 20.0)
    cost = rerender_cost(encoded, bank, POSITIONS, POSITIONS)
    unblurred = np.mean([np.minimum((f - bank.encoded[0]) ** 2, 0.15**2) for f in encoded], axis=0)
    depth = depth_from_cost(cost, unblurred, srgb_from_linear(sharp))
    good = np.zeros((120, 160), dtype=bool)
    good[:, :40] = good[:, 120:] = True
    assert np.abs(depth.index - made.index)[good].mean() < 0.15
    assert depth.confidence[good].mean() > 0.7
    assert depth.confidence[20:40, 70:90].mean() < 0.3
    assert depth.confidence[82:98, 72:88].mean() < 0.3


def test_completion_replaces_outliers_and_keeps_areas_without_data_unknown() -> None:
    index = np.full((80, 120), 2.0, dtype=np.float32)
    confidence = np.full((80, 120), 0.9, dtype=np.float32)
    index[20:24, 20:24], confidence[20:24, 20:24] = 7.0, 0.05
    confidence[:, 70:] = 0.0
    guide = np.full((80, 120, 3), 0.5, dtype=np.float32)
    done = complete(FocusDepth(index, confidence), 9, guide)
    np.testing.assert_allclose(done.index[10:40, 10:40], 2.0, atol=0.02)
    assert done.confidence[21, 21] < 0.05
    assert np.isnan(done.index[:, 110:]).all() and (done.confidence[:, 110:] == 0).all()
    assert np.isfinite(done.index[:, :60]).all()


def test_completion_keeps_fractions_of_a_frame() -> None:
    index = np.full((40, 60), 3.4, dtype=np.float32)
    done = complete(FocusDepth(index, np.ones_like(index)), 9, np.full((40, 60, 3), 0.5, dtype=np.float32))
    np.testing.assert_allclose(done.index, 3.4, atol=0.12)


def test_unknown_input_stays_out_of_completion() -> None:
    index = np.full((40, 60), 3.0, dtype=np.float32)
    index[10:14, 10:14] = np.nan
    done = complete(FocusDepth(index, np.ones_like(index)), 9, np.full((40, 60, 3), 0.5, dtype=np.float32))
    np.testing.assert_allclose(done.index, 3.0, atol=0.02)


def test_upsampling_follows_image_edges_and_keeps_unknowns() -> None:
    guide = np.zeros((80, 120, 3), dtype=np.float32)
    guide[:, 61:] = 1.0
    small_guide = cv2.resize(guide, (40, 27), interpolation=cv2.INTER_AREA)
    index = np.where(np.arange(40) < 20, 1.0, 6.0).astype(np.float32)[None].repeat(27, axis=0)
    index[:5, :5] = np.nan
    up = upsample(FocusDepth(index, np.ones_like(index)), small_guide, guide)
    assert up.index.shape == (80, 120)
    np.testing.assert_allclose(up.index[40, [20, 55, 66, 100]], [1, 1, 6, 6], atol=0.3)
    assert np.isnan(up.index[:12, :12]).all() and (up.confidence[:12, :12] == 0).all()
    assert np.nanmin(up.index) >= 1.0 and np.nanmax(up.index) <= 6.0
