"""Draw the pictures of README and of docs/gallery.md with the shipped model: photo, depth, signed defocus, refocused.

    python docs/figures/gallery.py            (or `make pictures`; needs the extra build, scikit-image and matplotlib)
    python docs/figures/gallery.py FOLDER     writes them there

Photos are CC0 or public domain, from scikit-image and matplotlib; the scene with a known depth is rendered by
mddnet.scenes.render. The picture of the stack page is made from nine rendered frames of that scene.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from depth_from_blur import CAT_U, KAPPA_PX, surfaces
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import mddnet
from mddnet.color import srgb8_from_linear
from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS, colours
from mddnet.predict.prediction import Prediction
from mddnet.scenes.render import Camera, LensFlaws, add_sensor_noise, render_surfaces

Picture = NDArray[np.uint8]
FOLDER = Path(__file__).parent
STRIP_HEIGHT = 400
ROW_HEIGHT = 240
GAP = 8
LABEL_PX = 56
PAPER, INK = (255, 255, 255), (30, 30, 34)
QUALITY = 82
LEAST_SPAN = 4 / 512
"""Least limit of the colours of the defocus, over the long side."""

NOTICEABLE_PX = 0.5


def scene_photo(u_focus: float) -> Picture:
    """A photo of the scene of depth_from_blur.py, (384, 512, 3)."""
    linear = render_surfaces(surfaces()[0], u_focus, KAPPA_PX, LensFlaws(colour_shift_px=(-0.9, 0.0, -0.6)))
    return srgb8_from_linear(add_sensor_noise(linear, Camera(shot=5e-5, read=5e-4), np.random.default_rng(0)))


def portrait() -> Picture:
    """Grace Hopper, U.S. Navy, public domain, from matplotlib."""
    return np.asarray(Image.open(Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")).convert("RGB"))


@dataclass(frozen=True, slots=True)
class Case:
    """A photo of the gallery."""

    name: str
    photo: Callable[[], Picture]


CASES = (
    Case("astronaut", data.astronaut),
    Case("cameraman", data.camera),
    Case("scene", lambda: scene_photo(CAT_U)),
    Case("portrait", portrait),
    Case("cat", data.chelsea),
    Case("cup", data.coffee),
    Case("clock", data.clock),
    Case("brick", data.brick),
    Case("stars", data.hubble_deep_field),
)


def rgb(pixels: NDArray[np.generic]) -> Picture:
    """A photo as RGB, from grey too."""
    return np.asarray(Image.fromarray(np.asarray(pixels, np.uint8)).convert("RGB"))


def coloured(prediction: Prediction) -> tuple[Picture, Picture]:
    """Inverse depth (bright is near) and signed defocus (orange is behind the plane of focus, blue in front)."""
    low, high = np.percentile(prediction.inv_depth, (1, 99))
    signed = prediction.signed_defocus_px
    most = max(LEAST_SPAN * max(signed.shape), float(np.percentile(np.abs(signed), 99)))
    defocus = colours(signed, -most, most, SIGN_COLOURS)
    if most == LEAST_SPAN * max(signed.shape):
        image = Image.fromarray(defocus)
        font = ImageFont.load_default(size=round(0.08 * image.height))
        draw, middle = ImageDraw.Draw(image), (image.width // 2, image.height // 2)
        largest = float(np.abs(signed).max())
        found = f"at most {largest:.1f} px" if largest >= NOTICEABLE_PX else "no blur found"
        draw.text(middle, found, fill=INK, font=font, anchor="mm")
        defocus = np.asarray(image)
    return colours(prediction.inv_depth, float(low), float(high), DEPTH_COLOURS), defocus


def row(pictures: Sequence[Picture], height: int, labels: Sequence[str] = ()) -> Image.Image:
    """Pictures next to each other at one height, with labels below."""
    images = [Image.fromarray(picture) for picture in pictures]
    images = [
        image.resize((round(image.width * height / image.height), height), Image.Resampling.LANCZOS) for image in images
    ]
    width = sum(image.width for image in images) + GAP * (len(images) - 1)
    figure = Image.new("RGB", (width, height + (LABEL_PX if labels else 0)), PAPER)
    draw, font = ImageDraw.Draw(figure), ImageFont.load_default(size=38)
    left = 0
    for image, label in zip(images, labels or [""] * len(images), strict=True):
        figure.paste(image, (left, 0))
        draw.text((left + image.width // 2, height + LABEL_PX // 2), label, fill=INK, font=font, anchor="mm")
        left += image.width + GAP
    return figure


def save(figure: Image.Image, path: Path) -> None:
    """Write a picture, and say how large it is."""
    figure.save(path, quality=QUALITY, method=6)
    print(f"{path.name}: {figure.width} x {figure.height}, {path.stat().st_size / 1000:.0f} kB")


def stack_pictures() -> list[Picture]:
    """A frame, the all-in-focus image, and depth, of nine rendered frames of the scene."""
    frames = [scene_photo(float(u)) for u in np.linspace(0.95, 0.05, 9)]
    with tempfile.TemporaryDirectory() as folder:
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(f"{folder}/{number}.png")
        result = mddnet.stack(folder)
    low, high = np.percentile(result.inv_depth, (1, 99))
    depth = colours(np.asarray(result.inv_depth), float(low), float(high), DEPTH_COLOURS)
    height, width = depth.shape[:2]
    return [frames[0][:height, :width], frames[-1][:height, :width], result.all_in_focus, depth]


def main(out: Path = FOLDER) -> None:
    """Predict and draw."""
    out.mkdir(parents=True, exist_ok=True)
    model = mddnet.load()
    astronaut = model.predict(data.astronaut())
    near = np.asarray(astronaut.refocus(strength=6, focus=(0.45, 0.2)).pixels)
    far = np.asarray(astronaut.refocus(strength=2, focus=(0.88, 0.25)).pixels)
    depth, signed = coloured(astronaut)
    labels = ("photo", "depth", "signed defocus", "6 x the blur")
    save(row([data.astronaut(), depth, signed, near], STRIP_HEIGHT, labels), out / "strip.webp")
    labels = ("photo", "6 x the blur", "focus on the shuttle")
    save(row([data.astronaut(), near, far], STRIP_HEIGHT, labels), out / "refocus.webp")
    for case in CASES:
        photo = rgb(case.photo())
        save(row([photo, *coloured(model.predict(photo))], ROW_HEIGHT), out / f"gallery-{case.name}.webp")
    labels = ("first frame", "last frame", "all in focus", "depth")
    save(row(stack_pictures(), ROW_HEIGHT, labels), out / "stack.webp")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
