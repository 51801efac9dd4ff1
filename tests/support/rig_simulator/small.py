"""The small form of the instrument, which the tests use: one made scene, few pixels, few frames."""

from __future__ import annotations

from .rig import Settings
from .scene import Scene, made_scene

SETTINGS = Settings(pixel_mm=0.053, frames=12, periods=(1, 6, 30), steps=8)


def small_scene() -> Scene:
    """160 x 128 camera pixels, 0.75 to 1.15 m."""
    return made_scene(128, 160, 750, 1150)
