"""Draw docs/figures/depth-from-blur.jpg: the shipped model on a scene with known depth and blur.

    python docs/figures/depth_from_blur.py

The scene is synthetic: a cat in front of a table. Both photos are CC0 and part of scikit-image: "Chelsea" by Stefan van
der Walt and "coffee" by Rachel Michetti. The table is slanted and nearer at its upper edge, so that the
vertical-position prior is wrong; the lens has an aperture of six blades and the colour error of an achromat.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import mddnet
from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS, colours
from mddnet.predict.preview import INK, PAPER
from mddnet.scenes.render import Aperture, Camera, LensFlaws, Surface, add_sensor_noise, render_surfaces

SIZE = (384, 512)
CAT_U = 0.9
KAPPA_PX = 22.0
PANEL = (256, 192)
GAP = 6
HEAD = 24
OUT = Path(__file__).with_name("depth-from-blur.jpg")

Picture = NDArray[np.uint8]


def surfaces() -> tuple[list[Surface], NDArray[np.float32]]:
    """The cat, the table behind it, and their visible inverse depth, (384, 512)."""
    height, width = SIZE
    table = np.asarray(Image.fromarray(data.coffee()).resize((width, height), Image.Resampling.LANCZOS))
    cat = np.asarray(Image.fromarray(data.chelsea()).resize((width, height), Image.Resampling.LANCZOS))
    y, x = np.mgrid[:height, :width]
    slanted = (0.55 - 0.5 * y / (height - 1)).astype(np.float32)
    distance = np.hypot((x - 350) / 120, (y - 230) / 135)
    cover = np.clip((1.0 - distance) * 60, 0, 1).astype(np.float32)
    front = Surface(linear_from_srgb8(cat), np.full(SIZE, CAT_U, np.float32), cover)
    back = Surface(linear_from_srgb8(table), slanted, np.ones(SIZE, np.float32))
    return [front, back], np.where(cover > 0.5, np.float32(CAT_U), slanted)


def panel(pixels: Picture) -> Image.Image:
    """One image at the size of a panel."""
    return Image.fromarray(pixels).resize(PANEL, Image.Resampling.LANCZOS)


def coloured_depth(inv_depth: NDArray[np.float32]) -> Picture:
    """A relative inverse depth in colours, from its 1st to its 99th percentile."""
    low, high = np.percentile(inv_depth, (1, 99))
    return colours(np.ascontiguousarray(inv_depth), float(low), float(high), DEPTH_COLOURS)


def main() -> None:
    """Render, predict, draw."""
    scene, truth = surfaces()
    model = mddnet.load()
    flaws = LensFlaws(Aperture(blades=6, rotation_rad=0.3), (-0.9, 0.0, -0.6))
    camera = Camera(shot=5e-5, read=5e-4)
    rows: list[tuple[str, list[Picture]]] = []
    for title, u_focus, grey in (
        ("focus on the cat", CAT_U, False),
        ("focus on the cup", 0.3, False),
        ("focus on the cup, in grey", 0.3, True),
    ):
        linear = render_surfaces(scene, u_focus, KAPPA_PX, flaws)
        photo = srgb8_from_linear(add_sensor_noise(linear, camera, np.random.default_rng(0)))
        photo = np.asarray(Image.fromarray(photo).convert("L").convert("RGB")) if grey else photo
        prediction = model.predict(photo)
        rotated = model.predict(np.ascontiguousarray(photo[::-1, ::-1])).inv_depth[::-1, ::-1]
        signed = KAPPA_PX * (u_focus - truth)
        most = float(np.abs(signed).max())
        pictures = [
            photo,
            colours(signed, -most, most, SIGN_COLOURS),
            colours(prediction.signed_defocus_px, -most, most, SIGN_COLOURS),
            coloured_depth(truth),
            coloured_depth(prediction.inv_depth),
            coloured_depth(rotated),
        ]
        rows.append((title, pictures))
    heads = ("photo", "true signed defocus", "predicted", "true depth", "predicted", "from the photo upside down")
    width, height = PANEL
    figure = Image.new("RGB", (6 * (width + GAP) + GAP, HEAD + len(rows) * (height + HEAD)), PAPER)
    draw, font = ImageDraw.Draw(figure), ImageFont.load_default(size=14)
    for column, head in enumerate(heads):
        draw.text((GAP + column * (width + GAP), 4), head, fill=INK, font=font)
    for number, (title, pictures) in enumerate(rows):
        top = HEAD + number * (height + HEAD)
        for column, pixels in enumerate(pictures):
            figure.paste(panel(pixels), (GAP + column * (width + GAP), top))
        draw.text((GAP, top + height + 3), title, fill=INK, font=font)
    figure.save(OUT, quality=88, subsampling="4:4:4", optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
