"""Light fields made by the tests themselves: two textured planes of known disparity, one hiding the other.

A texture is a sum of sinusoids, so that a view at any position is exact. No code of the package is used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STRAIGHT = "rows down, columns right"
"""Name of the usual order of the views."""


@dataclass(frozen=True)
class TwoPlanes:
    """A textured rectangle (``near``) in front of a textured wall (``far``); disparities in pixels per view."""

    near: float = 0.75
    far: float = -0.5
    height: int = 96
    width: int = 128
    seed: int = 3
    cosines: int = 24

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, bottom, left and right of the rectangle in the central view."""
        return self.height // 4, 3 * self.height // 4, self.width // 4, 3 * self.width // 4

    def truth(self) -> NDArray[np.float32]:
        d = np.full((self.height, self.width), self.far, dtype=np.float32)
        top, bottom, left, right = self.box
        d[top:bottom, left:right] = self.near
        return d

    def _texture(self, y: NDArray[np.float64], x: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
        rng = np.random.default_rng(seed)
        total = np.zeros((*y.shape, 3))
        for _ in range(self.cosines):
            period, angle = rng.uniform(5, 25), rng.uniform(0, 2 * np.pi)
            phase = 2 * np.pi * (y * np.sin(angle) + x * np.cos(angle)) / period
            total += np.cos(phase[..., None] + rng.uniform(0, 2 * np.pi, 3))
        return np.asarray(0.5 + 0.4 * np.tanh(total / np.sqrt(self.cosines)))

    def view(self, row: float, col: float) -> NDArray[np.float32]:
        """(H, W, 3) in [0, 1] as seen from a position: a point at x of the centre appears at x - d * (row, col)."""
        y, x = np.mgrid[: self.height, : self.width].astype(float)
        far = self._texture(y + self.far * row, x + self.far * col, self.seed)
        near = self._texture(y + self.near * row, x + self.near * col, self.seed + 1)
        top, bottom, left, right = self.box
        # Coverage of a pixel by the rectangle, so that its rim moves by fractions of a pixel too.
        cover_y = np.clip(np.minimum(y + self.near * row - top, bottom - 1 - y - self.near * row) + 1, 0, 1)
        cover_x = np.clip(np.minimum(x + self.near * col - left, right - 1 - x - self.near * col) + 1, 0, 1)
        cover = (cover_y * cover_x)[..., None]
        return np.asarray(cover * near + (1 - cover) * far, dtype=np.float32)

    def views(self, reach: int) -> NDArray[np.float32]:
        """((2 reach + 1) ** 2, H, W, 3) views of a grid with rows down and columns right, row by row."""
        line = range(-reach, reach + 1)
        return np.stack([self.view(row, col) for row in line for col in line])


def write_light_field(folder: Path, planes: TwoPlanes, reach: int = 2, columns_left: bool = False) -> Path:
    """Write a capture folder; with ``columns_left`` the columns of the files run against the camera's right."""
    folder.mkdir(parents=True)
    side = 2 * reach + 1
    for r in range(side):
        for c in range(side):
            image = planes.view(r - reach, (reach - c) if columns_left else (c - reach))
            picture = Image.fromarray(np.rint(image * 255).astype(np.uint8))
            picture.save(folder / f"view_{r:02d}_{c:02d}.jpg", quality=97, subsampling=0)
    about = {
        "kind": "light_field",
        "scene": folder.name,
        "place": "made",
        "source": "a test",
        "licence": "none",
        "rows": side,
        "cols": side,
        "views": "view_RR_CC.jpg",
    }
    (folder / "capture.json").write_text(json.dumps(about))
    return folder
