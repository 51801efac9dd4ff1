"""Example photos: those in the public domain that scikit-image carries, and simulated ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

PHOTOS = {"Astronaut": "astronaut.png", "Cat": "chelsea.png", "Coffee": "coffee.png", "Rocket": "rocket.jpg"}
"""Of scikit-image: an astronaut by NASA and a rocket by SpaceX (public domain), Chelsea by Stefan van der Walt, and
coffee by Rachel Michetti (CC0)."""
THUMBNAIL_PX = (192, 128)


def find_examples() -> dict[str, Path]:
    """The available photos by name, without importing scikit-image."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    return {name: folder / file for name, file in PHOTOS.items() if (folder / file).is_file()}


@cache
def example_photos() -> dict[str, tuple[str, Callable[[], bytes]]]:
    """Name, file name and content of every example photo; the simulated one has its lens in EXIF."""
    from mddnet.demo.simulated import PHOTO_FOCUS_M, simulated_jpeg

    photos = {name: (path.name, path.read_bytes) for name, path in find_examples().items()}
    return {**photos, "Simulated": ("simulated.jpg", partial(simulated_jpeg, PHOTO_FOCUS_M))}


def example_frames(two: bool = False) -> dict[str, bytes]:
    """File name and content of the frames of a simulated focal stack, from near to far; of all, or of two."""
    from mddnet.demo.simulated import FOCUS_M, simulated_jpeg

    chosen = (FOCUS_M[1], FOCUS_M[3]) if two else FOCUS_M
    return {f"at_{focus_m:g}m.jpg": simulated_jpeg(focus_m, lamps=0) for focus_m in chosen}


def thumbnail(content: bytes) -> Image.Image:
    """A small copy of an image file."""
    with Image.open(BytesIO(content)) as image:
        return ImageOps.fit(image.convert("RGB"), THUMBNAIL_PX)
