"""Chromatic aberration of synthetic lenses: its size, its sign, and green as the reference."""

from __future__ import annotations

import numpy as np

from mddnet.scenes.render import LARGEST_COLOUR_SHIFT_PX, draw_colour_shift_px


def test_convention_red_focuses_farther_than_green_so_its_signed_defocus_is_smaller() -> None:
    shifts = [draw_colour_shift_px(1.0, np.random.default_rng(seed)) for seed in range(200)]
    assert all(-1.0 <= red < 0 and green == 0 for red, green, _ in shifts)
    blue = np.array([b for _, _, b in shifts])
    assert blue.min() >= -1.0 and blue.max() <= 0.1
    assert 0.03 < (blue > 0).mean() < 0.2  # in some lenses blue focuses nearer


def test_the_shift_respects_its_limit_and_real_lenses() -> None:
    small = [draw_colour_shift_px(0.2, np.random.default_rng(seed)) for seed in range(100)]
    large = [draw_colour_shift_px(99.0, np.random.default_rng(seed)) for seed in range(100)]
    assert max(np.abs(small).max(axis=1)) <= 0.2
    assert 1.0 < max(np.abs(large).max(axis=1)) <= LARGEST_COLOUR_SHIFT_PX
