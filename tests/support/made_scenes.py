"""Scene folders made by the tests themselves: a textured slope in front of a textured wall, focused at three depths.

The blur is a Gaussian of sigma c / 4 per depth slice; it shares no code with the package's renderer.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mddnet.scenes.store import write_image, write_inv_depth, write_scene_json
from mddnet.types import FrameRecord, SceneRecord

KAPPA_PX = 12.0


def make_scene(
    root: Path,
    group: str,
    name: str,
    location: str,
    seed: int,
    size: tuple[int, int] = (96, 128),
    unit: str = "relative",
    capture: str = "focal_stack",
) -> Path:
    """Write one scene folder ``root/group/name`` and return it."""
    rng = np.random.default_rng(seed)
    h, w = size
    coarse = rng.integers(0, 256, (h // 4, w // 4, 3), dtype=np.uint8)
    sharp = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_NEAREST)
    u = np.linspace(0.1, 0.9, w, dtype=np.float32)[None].repeat(h, 0).copy()
    u[: h // 3] = 0.1
    folder = root / group / name
    folder.mkdir(parents=True)
    write_image(folder / "sharp.png", sharp)
    truth = u.copy()
    truth[:4, :4] = np.nan
    write_inv_depth(folder / "inv_depth.png", truth, unit)  # type: ignore[arg-type]
    frames = []
    for i, u_focus in enumerate((0.1, 0.5, 0.9)):
        coc = np.abs(KAPPA_PX * (u_focus - u))
        image = np.zeros_like(sharp)
        for step in range(0, 13):
            sigma = step / 4
            blurred = sharp if step == 0 else cv2.GaussianBlur(sharp, (0, 0), sigma)
            here = np.rint(coc) == step
            image[here] = blurred[here]
        write_image(folder / f"frame_{i:02d}.png", image)
        frames.append(FrameRecord(f"frame_{i:02d}.png", u_focus, KAPPA_PX))
    record = SceneRecord(
        name=name,
        location=location,
        capture=capture,  # type: ignore[arg-type]
        source="made by the tests",
        licence="Apache-2.0",
        provenance="rendered",
        unit=unit,  # type: ignore[arg-type]
        frames=frames,
        sharp="sharp.png",
        inv_depth="inv_depth.png",
    )
    write_scene_json(folder, record)
    return folder


def make_scene_root(root: Path) -> tuple[Path, Path]:
    """Four train scenes and one dev scene; returns the root and the path of its split.csv."""
    make_scene(root, "focal_stacks", "a1", "place_a", 1)
    make_scene(root, "focal_stacks", "a2", "place_a", 2)
    make_scene(root, "focal_stacks", "b", "place_b", 3, size=(128, 96))
    make_scene(root, "rgbd", "c", "place_c", 4, unit="ordinal")
    make_scene(root, "focal_stacks", "d", "place_d", 5)
    split = root / "split.csv"
    split.write_text("place,split\nplace_a,train\nplace_b,train\nplace_c,train\nplace_d,dev\n")
    return root, split
