from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mddnet.captures.structured_light import ProjectorGeometry
from mddnet.errors import RejectedScene
from mddnet.scenes.fringes import FringeCode
from mddnet.scenes.triangulate import triangulate, without_edges

HEIGHT, WIDTH = 40, 60


def geometry(
    lens: float = 0.0, rotated: float = 0.2, axis: str = "x", position_mm: tuple[float, ...] = (200.0, 30.0, 0.0)
) -> ProjectorGeometry:
    c, s = np.cos(rotated), np.sin(rotated)
    rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]] if axis == "x" else [[1, 0, 0], [0, c, s], [0, -s, c]])
    camera = {"fx": 600, "fy": 600, "cx": 29.5, "cy": 19.5, "distortion": [lens]}
    projector = {"fx": 1500, "fy": 1500, "cx": 399.5, "cy": 299.5, "distortion": [-lens, 0, 0.001 * (lens != 0)]}
    return ProjectorGeometry.model_validate(
        {
            "camera": camera,
            "projector": {**projector, "width": 800, "height": 600},
            "rotation": rotation.tolist(),
            "translation": (-rotation @ position_mm).tolist(),
        }
    )


def code_of(depth_mm: np.ndarray, rig: ProjectorGeometry, axis: str) -> FringeCode:
    """Where the projector sees every point, by the pinhole model written out."""
    y, x = np.indices(depth_mm.shape).astype(float)
    k1 = rig.camera.distortion[0]
    xd, yd = (x - rig.camera.cx) / rig.camera.fx, (y - rig.camera.cy) / rig.camera.fy
    xu, yu = xd.copy(), yd.copy()
    for _ in range(50):
        stretch = 1 + k1 * (xu**2 + yu**2)
        xu, yu = xd / stretch, yd / stretch
    points = np.stack([xu * depth_mm, yu * depth_mm, depth_mm], axis=-1) @ rig.rotation.T + rig.translation_mm
    a, b = points[..., 0] / points[..., 2], points[..., 1] / points[..., 2]
    k1, _, p1, _, _ = rig.projector.distortion
    r2 = a * a + b * b
    a, b = a * (1 + k1 * r2) + 2 * p1 * a * b, b * (1 + k1 * r2) + p1 * (r2 + 2 * b * b)
    pixel = a * rig.projector.fx + rig.projector.cx if axis == "x" else b * rig.projector.fy + rig.projector.cy
    position = (pixel + 0.5) / rig.lines(axis)  # type: ignore[arg-type]
    return FringeCode(
        position, np.full(position.shape, 1e-5, np.float32), np.full(position.shape, 0.2, np.float32), 1.0, 0.0, 0.0
    )


@pytest.mark.parametrize(("axis", "lens"), [("x", 0.0), ("x", 0.15), ("y", 0.1)])
def test_depth_is_recovered_with_both_distortions(axis: str, lens: float) -> None:
    y, x = np.indices((HEIGHT, WIDTH))
    depth = 900.0 + 2 * x - 1.5 * y
    rig = geometry(lens)
    if axis == "y":  # horizontal stripes need a projector above the camera
        rig = geometry(lens, axis="y", position_mm=(20.0, 200.0, 0.0))
    found = triangulate(code_of(depth, rig, axis), rig, axis)  # type: ignore[arg-type]
    inner = found.depth_mm[3:-3, 3:-3]
    assert np.isfinite(inner).all()
    assert np.abs(inner / depth[3:-3, 3:-3] - 1).max() < 2e-6


def test_noise_of_depth_is_that_of_small_changes() -> None:
    rig = geometry()
    depth = np.full((HEIGHT, WIDTH), 900.0)
    code = code_of(depth, rig, "x")
    found = triangulate(code, rig, "x")
    moved = replace(code, position=code.position + 1e-5)
    change = np.abs(triangulate(moved, rig, "x").depth_mm / found.depth_mm - 1)[5:-5, 5:-5]
    assert change == pytest.approx(found.relative_noise[5:-5, 5:-5], rel=0.05)


def test_a_mirrored_code_is_rejected() -> None:
    rig = geometry(rotated=0.0)
    code = code_of(np.full((HEIGHT, WIDTH), 900.0), rig, "x")
    mirrored = replace(code, position=code.position + 0.9)
    with pytest.raises(RejectedScene, match="behind the camera"):
        triangulate(mirrored, rig, "x")


def test_depth_edges_and_single_pixels_are_unknown() -> None:
    depth = np.full((HEIGHT, WIDTH), 1000.0, np.float32)
    depth[:, 30:] = 900.0
    depth[5, 5] = 950.0
    depth[20:26, 10:16] = np.nan
    kept = without_edges(depth)
    assert np.isnan(kept[:, 28:32]).all()
    assert np.isnan(kept[5, 5])
    assert np.isnan(kept[19:27, 9:17]).all()
    assert kept[30, 5] == 1000 and kept[30, 50] == 900
    # a slope is no rim, and unknown single pixels do not eat their neighbours
    slope = np.broadcast_to(1000 + 3 * np.arange(WIDTH, dtype=np.float32), (HEIGHT, WIDTH)).copy()
    slope[10, 10] = np.nan
    assert np.isnan(without_edges(slope)[2:-2, 2:-2]).sum() == 1


def test_the_edge_of_a_shadow_is_unknown() -> None:
    rig = geometry()
    code = code_of(np.full((HEIGHT, WIDTH), 900.0), rig, "x")
    modulation = np.full((HEIGHT, WIDTH), 0.2, np.float32)
    modulation[:, 30:32] = 0.01  # too narrow a shadow to be seen in the depth alone
    modulation[:, 29] = 0.08  # what blur carries into it
    modulation[20, 10] = 0.1  # a dark spot of the texture
    found = triangulate(replace(code, modulation=modulation), rig, "x").depth_mm
    assert np.isnan(found[:, 29:32]).all()
    assert np.isfinite(found[5:-5, 5:27]).all() and np.isfinite(found[5:-5, 35:-5]).all()
