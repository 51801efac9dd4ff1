"""Scenes made by the tests, and predictors of known quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from mddnet.evaluate.discs import blurred
from mddnet.scenes.store import write_image, write_inv_depth, write_scene_json
from mddnet.types import Float32Array, FrameRecord, InvDepthUnit, LensLawFit, SceneRecord, UInt8Array

SIZE = (72, 96)


@dataclass(frozen=True)
class Maps:
    """A prediction."""

    inv_depth: Float32Array
    signed_defocus_px: Float32Array
    focus: LensLawFit

    @property
    def defocus_px(self) -> Float32Array:
        return np.abs(self.signed_defocus_px)


def maps_of(inv_depth: Float32Array, u_focus: float, kappa: float) -> Maps:
    return Maps(inv_depth, kappa * (u_focus - inv_depth), LensLawFit(True, u_focus, kappa, 0.0))


@dataclass
class Oracle:
    """Knows the truth of every photo of the scenes that were made, both ways up; refuses any other photo."""

    known: dict[bytes, Maps] = field(default_factory=dict)

    def learn(self, photo: UInt8Array, maps: Maps) -> None:
        self.known[photo.tobytes()] = maps
        rotated = Maps(maps.inv_depth[::-1, ::-1], maps.signed_defocus_px[::-1, ::-1], maps.focus)
        self.known[photo[::-1, ::-1].tobytes()] = rotated

    def predict(self, photo: UInt8Array) -> Maps:
        return self.known[photo.tobytes()]


class RandomAnswers:
    """Noise."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def predict(self, photo: UInt8Array) -> Maps:
        shape = photo.shape[:2]
        noise = self.rng.random(shape).astype(np.float32)
        not_found = LensLawFit(False, float("nan"), float("nan"), float("nan"), "noise")
        return Maps(noise, (self.rng.random(shape) - 0.5).astype(np.float32), not_found)


class RowAnswers:
    """Lower in the picture is nearer."""

    def predict(self, photo: UInt8Array) -> Maps:
        height, width = photo.shape[:2]
        rows = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
        return maps_of(rows, height / 2, 0.1)


@dataclass
class MadeScenes:
    """A folder of built scenes, their split, and the oracle that knows them."""

    root: Path
    locations: dict[str, str]
    oracle: Oracle


AddScene = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> MadeScenes:
    return MadeScenes(tmp_path / "scenes", {}, Oracle())


@pytest.fixture
def add_scene(made: MadeScenes) -> AddScene:
    """Write a textured scene with a slanted depth (nearer to the lower right) and frames blurred by the lens law."""

    def add(
        kind: str,
        name: str,
        location: str,
        *,
        unit: InvDepthUnit = "relative",
        provenance: str = "real",
        kappa: float = 8.0,
        u_focus: tuple[float, ...] = (0.0, 0.5, 1.0),
        split: str = "dev",
        untrusted: bool = False,
    ) -> Path:
        rng = np.random.default_rng(len(made.oracle.known))
        sharp = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
        inv_depth = (0.1 + 0.9 * (0.5 * rows / SIZE[0] + 0.5 * columns / SIZE[1])).astype(np.float32)
        folder = made.root / kind / name
        folder.mkdir(parents=True)
        stored = inv_depth.copy()
        stored[:5] = np.nan
        confidence = np.full(SIZE, 255, dtype=np.uint8)
        if untrusted:
            stored[:, :30] = 1 - stored[:, :30]
            confidence[:, :30] = 40
        write_inv_depth(folder / "inv_depth.png", stored, unit)
        write_image(folder / "sharp.png", sharp)
        write_image(folder / "confidence.png", confidence)
        made.oracle.learn(sharp, maps_of(inv_depth, 0.5, 0.0))
        frames = []
        for i, u in enumerate(u_focus):
            signed = kappa * (u - inv_depth)
            photo = sharp.copy()
            for level in range(2, 9):
                here = np.clip(np.rint(np.abs(signed)), 0, 8) == level
                if here.any():
                    photo[here] = blurred(sharp, level)[here]
            write_image(folder / f"frame_{i}.png", photo)
            made.oracle.learn(photo, maps_of(inv_depth, u, kappa))
            frames.append(FrameRecord(f"frame_{i}.png", u, kappa))
        record = SceneRecord(
            name, location, kind.rstrip("s"), "made by a test", "Apache-2.0", provenance, unit, frames,  # type: ignore[arg-type]
            "sharp.png", "inv_depth.png", "confidence.png",
        )  # fmt: skip
        write_scene_json(folder, record)
        made.locations[location] = split
        return folder

    return add


@pytest.fixture
def random_answers() -> RandomAnswers:
    return RandomAnswers()


@pytest.fixture
def row_answers() -> RowAnswers:
    return RowAnswers()
