"""Draws pseudo-sets.jpg of docs/training.md: what the small model before and after its last run, other students and
their teachers see in two photos.

    python docs/figures/teachers.py work/distil work/teacher/probe.onnx

needs the models that ``make table-distil`` left in the folder given, and the teacher that ``mddnet probe`` made. The
photos are "Chelsea" by Stefan van der Walt and "coffee" by Rachel Michetti, both CC0, from scikit-image.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from depth_from_blur import coloured_depth
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from mddnet.color_maps import SIGN_COLOURS, colours
from mddnet.evaluate.baselines import find_baseline
from mddnet.predict.model_dir import open_model_dir
from mddnet.predict.view import INK, PAPER

OUT = Path(__file__).with_name("pseudo-sets.jpg")
PANEL, GAP, HEAD = (180, 120), 4, 20
MOST_SHARE = 0.02
"""Colours of defocus end at this share of the photo's long side."""
STUDENTS = {
    "trained on": "trained-on",
    "pseudo sets": "pseudo-sets",
    "and large": "pseudo-sets-and-large",
}


def columns(work: Path, probe: Path) -> dict[str, str]:
    """What looks at the photos, by the head of its column: the first seed of each student."""
    found = {"small before": str(work / "small" / "model")}
    found |= {head: str(work / f"{folder}-1" / "model") for head, folder in STUDENTS.items()}
    found["shipped"] = str(open_model_dir("small").folder)
    return found | {"large": str(work / "large" / "model"), "probe": str(probe)}


def sheet(work: Path, probe: Path) -> Image.Image:
    """Two rows a photo: inverse depth, and size of the blur."""
    photos = [data.chelsea(), data.coffee()]
    named = columns(work, probe)
    width, height = PANEL
    whole = Image.new("RGB", ((len(named) + 1) * (width + GAP) + GAP, HEAD + 2 * len(photos) * (height + GAP)), PAPER)
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(size=13)

    def paste(column: int, row: int, pixels: NDArray[np.uint8]) -> None:
        panel = Image.fromarray(pixels).resize(PANEL, Image.Resampling.LANCZOS)
        whole.paste(panel, (GAP + column * (width + GAP), HEAD + row * (height + GAP)))

    for n, head in enumerate(["the photo", *named]):
        draw.text((GAP + n * (width + GAP), 2), head, fill=INK, font=font)
    for k, photo in enumerate(photos):
        paste(0, 2 * k, photo)
    for n, name in enumerate(named.values(), start=1):
        method = find_baseline(name)
        for k, photo in enumerate(photos):
            answer = method.infer(photo)
            if answer.inv_depth is not None:
                paste(n, 2 * k, coloured_depth(answer.inv_depth))
            if answer.defocus_px is not None:
                most = MOST_SHARE * max(photo.shape)
                paste(n, 2 * k + 1, colours(answer.defocus_px, -most, most, SIGN_COLOURS))
    return whole


if __name__ == "__main__":
    sheet(Path(sys.argv[1]), Path(sys.argv[2])).save(OUT, quality=88, subsampling="4:4:4", optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")
