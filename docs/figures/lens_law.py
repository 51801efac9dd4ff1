"""Draw the figures of docs/defocus.md and docs/how-it-works.md: rays through a thin lens, the law, blur of known size.

    python docs/figures/lens_law.py

All numbers are computed by mddnet. Writes rays.svg, law.svg and discs.png next to this file, or into the folder given
as the first argument.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mddnet.color_maps import SIGN_COLOURS, colours
from mddnet.data.disc_blur import blurred_by_disc
from mddnet.optics import kappa_px, sensor_distance_m, signed_defocus_px

FOCAL_MM, F_NUMBER, PIXEL_UM, FOCUS_M = 50.0, 1.8, 12.0, 1.0
INK, GRID, PAPER = "#222222", "#bbbbbb", "#ffffff"
BEHIND, FRONT, FOCUS = "#d7641b", "#2a6fc4", "#2b8a3e"
DISCS_PX = (0, 2, 4, 8, 16, 32)


class Drawing:
    """An SVG of a given size with a light background, for dark pages too."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.parts: list[str] = []

    def line(self, points: list[tuple[float, float]], colour: str, width: float = 1.5, dash: str = "") -> None:
        """A polyline."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>')

    def text(self, x: float, y: float, words: str, colour: str = INK, anchor: str = "middle", size: int = 13) -> None:
        """A line of text."""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}">{words}</text>'
        )

    def lens(self, x: float, middle: float, half: float) -> None:
        """A lens seen from the side, of half height ``half``."""
        bulge = 0.16 * half
        self.parts.append(
            f'<path d="M{x:.1f},{middle - half:.1f} q{bulge:.1f},{half:.1f} 0,{2 * half:.1f} '
            f'q{-bulge:.1f},{-half:.1f} 0,{-2 * half:.1f}" fill="#e8f0f7" stroke="{INK}"/>'
        )

    def write(self, path: Path) -> None:
        """Write the file."""
        width, height = self.size
        body = "\n".join(self.parts)
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" font-family="sans-serif">\n<rect width="100%" height="100%" fill="{PAPER}"/>\n'
            f"{body}\n</svg>\n",
            encoding="utf-8",
        )


def rays() -> Drawing:
    """Rays of a point behind the plane of focus and of one in front of it; the lens is drawn too thick.

    The distances are those of a lens of 50 mm and an aperture of 40 mm focused at 0.12 m, to scale.
    """
    drawing = Drawing(760, 400)
    focal, aperture, focus = 50.0, 40.0, 120.0  # mm
    scale = 2.0
    v = 1e3 * sensor_distance_m(focal, focus / 1e3)
    lens_x = 530.0
    for middle, z, colour, words in (
        (100.0, 250.0, BEHIND, "behind the plane of focus: its rays meet before the sensor"),
        (300.0, 85.0, FRONT, "in front of it: its rays would meet behind the sensor"),
    ):
        half = aperture / 2 * scale
        image = 1e3 * sensor_distance_m(focal, z / 1e3)
        sensor_x, focus_x, point_x = lens_x + v * scale, lens_x - focus * scale, lens_x - z * scale
        drawing.line([(20, middle), (740, middle)], GRID, 1)
        drawing.line([(focus_x, middle - 60), (focus_x, middle + 60)], FOCUS, 1.5, "5 4")
        drawing.text(focus_x, middle + 76, "plane of focus", FOCUS)
        drawing.line([(sensor_x, middle - 50), (sensor_x, middle + 50)], INK, 2)
        drawing.text(sensor_x, middle + 66, "sensor")
        drawing.lens(lens_x, middle, half + 4)
        drawing.text(lens_x, middle + 66, "aperture A")
        radius = half * (v - image) / image  # where the ray through the rim hits the sensor, signed
        for sign in (-1, 1):
            end = (sensor_x, middle - sign * radius)
            drawing.line([(point_x, middle), (lens_x, middle + sign * half), end], colour)
        drawing.parts.append(f'<circle cx="{point_x:.1f}" cy="{middle}" r="4" fill="{colour}"/>')
        drawing.line([(sensor_x + 6, middle - abs(radius)), (sensor_x + 6, middle + abs(radius))], colour, 5)
        drawing.text(sensor_x + 16, middle - 8, "c", colour, "start", 15)
        drawing.text(20, middle - 76, words, colour, "start")
    return drawing


def law() -> Drawing:
    """The signed CoC of one lens over depth, and over inverse depth, where it is a straight line."""
    drawing = Drawing(760, 330)
    kappa = kappa_px(FOCAL_MM, F_NUMBER, PIXEL_UM, FOCUS_M)
    u = np.linspace(0.02, 2.0, 200)
    signed = signed_defocus_px(u, 1.0 / FOCUS_M, kappa)
    top = 150.0

    def panel(left: float, xs: NDArray[np.float64], most: float, label: str, ticks: tuple[float, ...]) -> None:
        width, middle, half = 320.0, 150.0, 120.0
        drawing.line([(left, middle - half), (left, middle + half)], INK, 1)
        drawing.line([(left, middle), (left + width, middle)], INK, 1)
        for value in (-100, -50, 50, 100):
            y = middle - half * value / top
            drawing.line([(left, y), (left + width, y)], GRID, 0.7)
            drawing.text(left - 6, y + 4, f"{value}", anchor="end", size=11)
        for tick in ticks:
            drawing.text(left + width * tick / most, middle + half + 16, f"{tick:g}", size=11)
        drawing.text(left + width / 2, middle + half + 36, label)
        for colour, chosen in ((BEHIND, signed >= 0), (FRONT, signed <= 0)):
            points = [
                (left + width * x / most, middle - half * c / top)
                for x, c in zip(xs[chosen], signed[chosen], strict=True)
                if x <= most
            ]
            drawing.line(points, colour, 2.5)
        focus = FOCUS_M if most > 2.5 else 1.0 / FOCUS_M
        drawing.parts.append(f'<circle cx="{left + width * focus / most:.1f}" cy="{middle}" r="4" fill="{FOCUS}"/>')

    panel(50, 1.0 / u, 5.0, "depth z, m", (1, 2, 3, 4, 5))
    panel(425, u, 2.0, "inverse depth u = 1/z, 1/m (near is to the right)", (0.5, 1, 1.5, 2))
    title = f"signed defocus, px: {FOCAL_MM:g} mm, f/{F_NUMBER:g}, pixels of {PIXEL_UM:g} um, focused at {FOCUS_M:g} m"
    drawing.text(380, 18, title)
    return drawing


def discs() -> Image.Image:
    """One texture, blurred by discs of known diameter; under each, the disc at the same scale."""
    size, gap, foot = 120, 8, 74
    rng = np.random.default_rng(4)
    texture = np.full((size, size, 3), 120.0)
    for step in (2, 5, 12, 30):
        coarse = Image.fromarray(rng.integers(0, 256, (size // step + 1, size // step + 1, 3), dtype=np.uint8))
        texture += 0.45 * (np.asarray(coarse.resize((size, size), Image.Resampling.NEAREST), np.float64) - 128)
    sharp = np.clip(texture, 0, 255).astype(np.uint8)
    width = len(DISCS_PX) * (size + gap) - gap
    figure = Image.new("RGB", (width, size + foot), PAPER)
    draw = ImageDraw.Draw(figure)
    font = ImageFont.load_default(13)
    for n, diameter in enumerate(DISCS_PX):
        left = n * (size + gap)
        figure.paste(Image.fromarray(blurred_by_disc(sharp, float(diameter))), (left, 0))
        colour = tuple(int(v) for v in colours(np.array([diameter / 32.0], np.float32), -1.0, 1.0, SIGN_COLOURS)[0])
        x, y, radius = left + size / 2, size + 28, max(diameter / 2, 0.5)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline=INK)
        draw.text((x, size + 60), f"{diameter} px", fill=INK, font=font, anchor="mm")
    return figure


def main() -> None:
    """Draw all of them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    rays().write(folder / "rays.svg")
    law().write(folder / "law.svg")
    discs().save(folder / "discs.png", optimize=True)


if __name__ == "__main__":
    main()
