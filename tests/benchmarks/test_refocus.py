"""Measures of the refocusing table by hand, and its pairs on a real stack."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks.refocus import cases_of, gaussian_by_depth, gmsd, psnr

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.predict.refocus import BlurMaps, refocused_light
from mddnet.scenes.focal_stack_scene import build_focal_stack_scene
from mddnet.types import LensLawFit

LAW = LensLawFit(True, 0.0, 10.0, 0.0)
EVERYWHERE = np.ones((40, 60), bool)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_psnr_by_hand() -> None:
    one, two = np.full((40, 60, 3), 100, np.uint8), np.full((40, 60, 3), 151, np.uint8)
    assert psnr(one, two, EVERYWHERE) == pytest.approx(20 * np.log10(255 / 51))
    two[:20] = 100
    assert psnr(one, two, np.arange(40)[:, None] >= np.full(60, 20)) == pytest.approx(20 * np.log10(255 / 51))


def test_gmsd_is_zero_for_equal_pictures_and_grows_with_blur() -> None:
    sharp = cv2.resize(noise(), (60, 40), interpolation=cv2.INTER_NEAREST)
    little, much = (cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (0.7, 1.5))
    assert gmsd(sharp, sharp, EVERYWHERE) == 0
    assert 0 < gmsd(little, sharp, EVERYWHERE) < gmsd(much, sharp, EVERYWHERE)


def test_the_reference_is_a_gaussian_of_a_quarter_of_the_defocus() -> None:
    flat = np.zeros((40, 60), np.float32)
    maps = BlurMaps(flat, flat, LAW)
    got = gaussian_by_depth(noise(), maps, u_focus=0.6)  # 6 px of defocus
    wanted = cv2.GaussianBlur(noise(), (0, 0), 1.5)
    assert np.abs(got.astype(int) - wanted).max() <= 1
    assert (gaussian_by_depth(noise(), maps, u_focus=0.0) == noise()).all()


@pytest.mark.slow
def test_a_real_frame_refocused_is_closer_to_the_frame_of_that_focus(shared_data: Path, tmp_path: Path) -> None:
    build_focal_stack_scene(shared_data / "captures/focal_stacks/phone_dog", tmp_path)
    cases = list(cases_of(tmp_path / "phone_dog"))
    assert len(cases) >= 3
    gains = []
    for case in cases:
        column, row = case.point
        at = int(row * len(case.photo)), int(column * case.photo.shape[1])
        assert abs(cv2.blur(case.maps.inv_depth, (15, 15))[at] - case.u_target) < 0.1 * np.ptp(case.maps.inv_depth)
        assert not (case.blurrier & case.sharper).any()
        if case.blurrier.mean() < 0.05:
            continue
        light = refocused_light(linear_from_srgb8(case.photo), case.maps, 1.0, case.u_target)
        refocused = psnr(srgb8_from_linear(light), case.target, case.blurrier)
        gains.append(refocused - psnr(case.photo, case.target, case.blurrier))
    assert gains and np.mean(gains) > 1.0
