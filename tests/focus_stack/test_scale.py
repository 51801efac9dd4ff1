from __future__ import annotations

import math

import numpy as np
import pytest

from mddnet.focus_stack.scale import scale_of, stated_inv_depths
from mddnet.optics import lens_kappa_px
from mddnet.types import Lens

POSITIONS = 3.0 * np.arange(5)  # px; the true law here is u = 2 - position / 8
NONE = np.full(5, np.nan)
U = 2 - POSITIONS / 8


def some(**values: float) -> np.ndarray:
    known = NONE.copy()
    for name, value in values.items():
        known[int(name[1:])] = value
    return known


def test_all_distances_give_metres() -> None:
    scale = scale_of(POSITIONS, U, Lens())
    assert scale.unit == "1/m" and scale.kappa_px == pytest.approx(8) and not scale.notes
    np.testing.assert_allclose(scale.u_focus, U)


def test_two_distances_give_metres_for_all_frames() -> None:
    scale = scale_of(POSITIONS, some(f0=U[0], f4=U[4]), Lens())
    assert scale.unit == "1/m" and scale.kappa_px == pytest.approx(8)
    np.testing.assert_allclose(scale.u_focus, U)
    assert "2 of 5 frames" in scale.notes[0]


def test_distances_that_contradict_the_blur_are_ignored() -> None:
    scale = scale_of(POSITIONS, np.array([0.5, 2.0, 0.7, 1.8, 0.6]), Lens())
    assert scale.unit == "relative" and "ignored" in scale.notes[0]


def test_one_distance_and_the_lens_give_metres() -> None:
    lens = Lens(focal_mm=50, f_number=8, pixel_um=40)
    kappa = lens_kappa_px(lens, 1 / U[2])
    scale = scale_of(POSITIONS, some(f2=U[2]), lens)
    assert scale.unit == "1/m" and scale.kappa_px == pytest.approx(kappa)
    np.testing.assert_allclose(scale.u_focus, U[2] - (POSITIONS - 6) / kappa)


def test_the_lens_alone_gives_the_scale_and_nothing_gives_none() -> None:
    lens = Lens(focal_mm=50, f_number=8, pixel_um=40)
    scale = scale_of(POSITIONS, NONE, lens)
    assert scale.unit == "1/m from focus" and scale.u_focus[-1] == 0 and "--focus-m" in scale.notes[0]
    scale = scale_of(POSITIONS, NONE, Lens(focal_mm=50))
    assert scale.unit == "relative" and (scale.u_focus[0], scale.u_focus[-1], scale.kappa_px) == (1, 0, 12)
    assert "--pixel-um" in scale.notes[0]


def test_a_lens_that_contradicts_the_blur_is_noted() -> None:
    scale = scale_of(POSITIONS, U, Lens(focal_mm=50, f_number=2, pixel_um=40))
    assert scale.unit == "1/m" and "check" in scale.notes[0]


def test_stated_distances() -> None:
    values, notes = stated_inv_depths([Lens(focus_m=0.5), Lens(focus_m=math.inf), Lens()])
    np.testing.assert_allclose(values, [2, 0, math.nan])
    assert "Focal length unknown" in notes[0]
    values, notes = stated_inv_depths([Lens(focal_mm=50, focus_m=1.0)] * 3)
    assert np.isnan(values).all() and "the same" in notes[0]
    values, notes = stated_inv_depths([Lens(focal_mm=100, focus_m=0.3), Lens(focal_mm=100, focus_m=2.0)])
    assert np.isnan(values[0]) and "four focal lengths" in notes[0]
