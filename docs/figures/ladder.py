"""Draw the figures of docs/claims.md: error reduction by each step of the ladder, and its networks on one photo.

    PYTHONPATH=. python docs/figures/ladder.py work/claims

ladder.svg, and ladder-long.svg of the rows trained three times as long, come from docs/results/claims/measures.csv.
ladder.jpg needs the networks of ``make table-claims`` in the given folder: those of fold 0 are applied to the synthetic
scene of :mod:`depth_from_blur`, whose two photos are CC0 and part of scikit-image ("Chelsea" by Stefan van der Walt
and "coffee" by Rachel Michetti).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from depth_from_blur import KAPPA_PX, coloured_depth, panel, surfaces
from lens_law import GRID, INK, Drawing
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from research.claims.bootstrap import Interval
from research.claims.methods import Network
from research.claims.plan import LADDER, LONG
from research.claims.results import read_lines
from research.claims.table import COMPARED_ON, Measured, comparisons

from mddnet.color import srgb8_from_linear
from mddnet.color_maps import SIGN_COLOURS, colours
from mddnet.predict.preview import INK as DARK
from mddnet.predict.preview import PAPER
from mddnet.scenes.render import Aperture, Camera, LensFlaws, add_sensor_noise, render_surfaces

HERE = Path(__file__).parent
MEASURES = HERE.parent / "results" / "claims" / "measures.csv"
TASK_COLOURS = {"depth": "#2a6fc4", "defocus": "#d7641b"}
LIMIT = 0.3
"""Limit of the axis in both directions; larger values are clipped."""
U_FOCUS = 0.3
GAP, HEAD = 6, 24
WORDS = {
    "depth": "depth alone",
    "defocus": "defocus alone",
    "two": "two decoders",
    "soft": "+ soft connection",
    "law": "+ lens-law loss",
    "full": "full",
}


def steps_figure(measured: Measured, suffix: str = "") -> Drawing:
    """Error reduction of each comparison, with its interval."""
    found = [comparison for comparison in comparisons(measured, suffix) if any(comparison[-1])]
    row_px, left, width, gap = 22, 300, 180, 28
    drawing = Drawing(left + len(COMPARED_ON) * (width + gap) + gap, 70 + row_px * len(found))
    for column, title in enumerate(COMPARED_ON):
        middle = left + column * (width + gap) + width / 2
        drawing.text(middle, 20, f"error reduction, %: {title}")
        for share in (-0.2, -0.1, 0.0, 0.1, 0.2):
            x = middle + share / LIMIT * width / 2
            drawing.line([(x, 32), (x, 44 + row_px * len(found))], INK if share == 0 else GRID, 1.0)
            drawing.text(x, 58 + row_px * len(found), f"{100 * share:+.0f}" if share else "0", size=11)
    for n, (row, against, task, intervals) in enumerate(found):
        y = 48 + row_px * n
        drawing.text(left - 12, y + 4, f"{task}: {_words(row)} / {_words(against)}", TASK_COLOURS[task], "end", 12)
        for column, interval in enumerate(intervals):
            if interval is not None:
                middle = left + column * (width + gap) + width / 2
                _bar(drawing, middle, width / 2 / LIMIT, y, interval, TASK_COLOURS[task])
    return drawing


def _words(row: str) -> str:
    return WORDS[row.removesuffix(LONG)]


def _bar(drawing: Drawing, middle: float, unit: float, y: float, found: Interval, colour: str) -> None:
    low, value, high = (middle + unit * float(np.clip(v, -LIMIT, LIMIT)) for v in (found.low, found.value, found.high))
    drawing.line([(low, y), (high, y)], colour, 2.0)
    drawing.line([(value, y - 5), (value, y + 5)], colour, 5.0)


def ladder_picture(runs: Path) -> Image.Image:
    """Every network of the ladder on one photo: inverse depth, the same from the photo upside down, and defocus."""
    scene, truth = surfaces()
    flaws = LensFlaws(Aperture(blades=6, rotation_rad=0.3), (-0.9, 0.0, -0.6))
    linear = render_surfaces(scene, U_FOCUS, KAPPA_PX, flaws)
    camera = Camera(shot=5e-5, read=5e-4)
    photo = srgb8_from_linear(add_sensor_noise(linear, camera, np.random.default_rng(0)))
    coc = np.abs(KAPPA_PX * (U_FOCUS - truth))
    columns: list[tuple[str, Sequence[NDArray[np.uint8] | None]]] = [
        ("the photo; the truth", (coloured_depth(truth), photo, _size(coc, float(coc.max()))))
    ]
    for row in LADDER:
        network = Network.of(runs / f"{row.name}-0" / "model")
        estimate = network.estimate(photo)
        rotated = network.estimate(np.ascontiguousarray(photo[::-1, ::-1])).inv_depth
        columns.append(
            (
                WORDS[row.name],
                (
                    None if estimate.inv_depth is None else coloured_depth(estimate.inv_depth),
                    None if rotated is None else coloured_depth(rotated[::-1, ::-1]),
                    None if estimate.defocus_px is None else _size(estimate.defocus_px, float(coc.max())),
                ),
            )
        )
    width, height = panel(photo).size
    figure = Image.new("RGB", (len(columns) * (width + GAP) + GAP, HEAD + 3 * (height + GAP)), PAPER)
    draw, font = ImageDraw.Draw(figure), ImageFont.load_default(size=14)
    for n, (head, pictures) in enumerate(columns):
        x = GAP + n * (width + GAP)
        draw.text((x, 4), head, fill=DARK, font=font)
        for k, pixels in enumerate(pictures):
            if pixels is not None:
                figure.paste(panel(pixels), (x, HEAD + k * (height + GAP)))
    return figure


def _size(defocus_px: NDArray[np.float32], most: float) -> NDArray[np.uint8]:
    return colours(defocus_px, -most, most, SIGN_COLOURS)


def main() -> None:
    """Draw all."""
    measured = Measured(read_lines(MEASURES))
    steps_figure(measured).write(HERE / "ladder.svg")
    steps_figure(measured, LONG).write(HERE / "ladder-long.svg")
    if len(sys.argv) > 1:
        out = HERE / "ladder.jpg"
        ladder_picture(Path(sys.argv[1]) / "runs").save(out, quality=88, subsampling="4:4:4", optimize=True)
        print(f"{out.name}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
