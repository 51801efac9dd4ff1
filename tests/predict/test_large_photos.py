"""Photos of any size: memory grows with the photo and not with its maps, and blur in proportion to the size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import mddnet

BYTES_PER_PIXEL = 9.0
"""What a megapixel more may cost: 4 bytes in Pillow while it is decoded, 3 in the array, and the strips."""


def peak_mb(photo: Path, out: Path, model: Path) -> float:
    """Peak memory of ``mddnet predict`` in a process of its own, megabytes."""
    code = (
        "import resource, sys\n"
        "from mddnet.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        "raise SystemExit(code)\n"
    )
    arguments = ["predict", str(photo), "-o", str(out), "--model", str(model), "--threads", "1", "--formats", "tiff"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    kilobytes = int(done.stdout.splitlines()[-1])
    return kilobytes / 1024 / (1024 if sys.platform == "darwin" else 1)


def turned_jpeg(path: Path, megapixels: int) -> Path:
    """A photo of 3:2 that EXIF turns on its side."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    rows = np.linspace(0, 255, height, dtype=np.uint8)[:, None, None]
    pixels = np.broadcast_to(rows, (height, height * 3 // 2, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, quality=80, exif=exif)
    return path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read by getrusage")
def test_memory_grows_with_the_photo_and_not_with_its_maps(tiny_model: Path, tmp_path: Path) -> None:
    small, large = (
        peak_mb(turned_jpeg(tmp_path / f"{size}.jpg", size), tmp_path / "out", tiny_model) for size in (4, 16)
    )
    # All maps of a photo in memory would be 20 bytes a pixel and more.
    assert (large - small) * 1024**2 / 12e6 < BYTES_PER_PIXEL
    assert Image.open(tmp_path / "out" / "16.inv_depth.tiff").size == Image.open(tmp_path / "16.jpg").size[::-1]


@pytest.mark.slow
def test_the_same_photo_at_three_sizes_has_blur_in_proportion() -> None:
    """The shipped model on a blurred photo of a cup of coffee, by Rachel Michetti, CC0, from scikit-image."""
    data = pytest.importorskip("skimage.data")
    model = mddnet.load(threads=1)
    photo = Image.fromarray(data.coffee()).filter(ImageFilter.GaussianBlur(4))  # 600 x 400, CoC 16 px
    widths = (1200, 600, 450)
    blur = [
        model.predict(photo.resize((width, width * 2 // 3), Image.Resampling.LANCZOS)).defocus_px for width in widths
    ]
    middle = np.asarray(Image.fromarray(blur[1]))
    for width, values in zip(widths, blur, strict=True):
        same_size = np.asarray(Image.fromarray(values).resize(photo.size, Image.Resampling.BILINEAR))
        clear = middle > 3
        ratio = float(np.median(same_size[clear] / middle[clear])) * 600 / width
        assert ratio == pytest.approx(1.0, abs=0.1), f"{width} px wide"
