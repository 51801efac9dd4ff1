from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.support.made_focal_stack import textured

from mddnet.color import linear_from_srgb8
from mddnet.errors import RejectedScene
from mddnet.scenes.render import psf_kernel
from mddnet.scenes.rig_calibrate import (
    RigLaw,
    RigSweep,
    calibrate_rig,
    check_determined,
    index_by_law,
    scaled_about,
    stabilised,
)
from mddnet.types import Float32Array

LAW = RigLaw(300.0, 24.0)
FOCAL_MM = 50.0
HEIGHT, WIDTH = 150, 180
U_LOW, U_HIGH = 0.9, 1.3


def wedge(frames: int = 12, noise: float = 0.004, texture: bool = True, u_high: float = U_HIGH) -> RigSweep:
    """Slabs of rising inverse depth from left to right, photographed without breathing."""
    rng = np.random.default_rng(0)
    light = linear_from_srgb8(textured(HEIGHT, WIDTH)).mean(axis=2) if texture else np.full((HEIGHT, WIDTH), 0.3)
    slab = np.minimum(np.arange(WIDTH) * 6 // WIDTH, 5)
    u = np.linspace(U_LOW, u_high, 6)[slab]
    sensor = 1000.0 / (1000.0 / FOCAL_MM - np.linspace(U_LOW - 0.05, U_HIGH + 0.05, frames)) - LAW.offset_mm
    reference = float(sensor.mean())
    stack = []
    for v in sensor:
        u_focus = 1000.0 / FOCAL_MM - 1000.0 / (v + LAW.offset_mm)
        frame = np.zeros((HEIGHT, WIDTH), np.float32)
        for k in range(6):
            c = LAW.aperture_px * (reference + LAW.offset_mm) / 1000.0 * abs(u_focus - np.linspace(U_LOW, u_high, 6)[k])
            blurred = cv2.filter2D(light.astype(np.float32), cv2.CV_32F, psf_kernel(c), borderType=cv2.BORDER_REFLECT)
            frame[:, slab == k] = blurred[:, slab == k]
        stack.append((frame + noise * rng.standard_normal(frame.shape)).astype(np.float32))
    inv_depth = np.broadcast_to(u, (HEIGHT, WIDTH)).astype(np.float32).copy()
    inv_depth[40:60, 30:50] = np.nan
    centre = ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
    still = np.zeros(frames, np.complex128)
    return RigSweep(stack, inv_depth, FOCAL_MM, sensor, reference, centre, True, 52.5 / 0.05, still)


@pytest.fixture(scope="module")
def sweep() -> RigSweep:
    return wedge()


@pytest.mark.slow
def test_the_law_is_recovered_within_its_interval(sweep: RigSweep) -> None:
    fit = calibrate_rig(sweep)
    assert fit.law.aperture_px == pytest.approx(LAW.aperture_px, rel=0.01)
    assert fit.law.offset_mm == pytest.approx(LAW.offset_mm, abs=0.02)
    assert abs(fit.law.aperture_px - LAW.aperture_px) < 1.5 * fit.aperture_error_px < 0.03 * LAW.aperture_px
    assert fit.error_fraction < 0.5


def test_a_given_law_is_only_evaluated(sweep: RigSweep) -> None:
    right, wrong = (calibrate_rig(sweep, law) for law in (LAW, RigLaw(LAW.aperture_px, LAW.offset_mm + 0.4)))
    assert right.law == LAW and np.isnan(right.aperture_error_px)
    assert right.error_fraction < 0.5 < wrong.error_fraction


def unlit(sweep: RigSweep) -> RigSweep:
    return replace(sweep, inv_depth=np.full_like(sweep.inv_depth, np.nan))


def beside(sweep: RigSweep) -> RigSweep:
    """Only the frames that are focused in front of everything."""
    keep = sweep.u_focus(LAW.offset_mm) > U_HIGH
    few = [i for i in range(len(keep)) if keep[i]][:1] * 4
    return replace(
        sweep,
        frames=[sweep.frames[i] for i in few],
        sensor_mm=np.array([29.0, 29.1, 29.2, 29.3]),
        shifts_px=sweep.shifts_px[:4],
    )


def closed(sweep: RigSweep) -> RigSweep:
    """All frames as sharp as the sharpest: a pinhole."""
    rng = np.random.default_rng(1)
    sharp = linear_from_srgb8(textured(HEIGHT, WIDTH)).mean(axis=2)
    frames = [(sharp + 0.004 * rng.standard_normal(sharp.shape)).astype(np.float32) for _ in sweep.frames]
    return replace(sweep, frames=frames)


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (unlit, "no pixel"),
        (beside, "not determined|does not cover"),
        (closed, "not determined|does not cover"),
    ],
)
def test_undetermined_quantities_are_refused(sweep: RigSweep, spoilt: object, message: str) -> None:
    with pytest.raises(RejectedScene, match=message):
        check_determined(calibrate_rig(spoilt(sweep)))  # type: ignore[operator]


def test_blank_walls_determine_nothing() -> None:
    with pytest.raises(RejectedScene, match="determine"):
        check_determined(calibrate_rig(wedge(texture=False)))


def test_breathing_is_removed_about_the_principal_point() -> None:
    image = np.zeros((61, 81), np.float32)
    image[20, 60] = 1.0
    image = cv2.GaussianBlur(image, (0, 0), 3.0)
    # magnifying an image twice about the centre doubles the distance of the point
    small = scaled_about(image, 2.0, (30.0, 35.0))
    ys, xs = np.indices(small.shape)
    assert (small * xs).sum() / small.sum() == pytest.approx(30 + (60 - 30) / 2, abs=0.05)
    assert (small * ys).sum() / small.sum() == pytest.approx(35 + (20 - 35) / 2, abs=0.05)
    assert scaled_about(image, 1.0, (30.0, 35.0)) is image
    moved = scaled_about(image, 1.0, (30.0, 35.0), complex(4, -3))
    assert moved[20 + 3, 60 - 4] == pytest.approx(image[20, 60])


def test_the_brightness_of_frames_is_made_equal(sweep: RigSweep) -> None:
    darker: list[Float32Array] = [f * np.float32(0.8 + 0.02 * i) for i, f in enumerate(sweep.frames)]
    means = [float(f[30:-30, 30:-30].mean()) for f in stabilised(replace(sweep, frames=darker), LAW.offset_mm)]
    assert np.ptp(means) < 0.01 * np.mean(means)


def test_the_index_is_that_of_the_plane_of_focus() -> None:
    u_focus = np.array([1.3, 1.1, 0.9])
    index = index_by_law(np.array([[1.2, 0.9, 0.5, 2.0]], np.float32), u_focus)
    assert index[0].tolist() == pytest.approx([0.5, 2.0, 2.0, 0.0])
