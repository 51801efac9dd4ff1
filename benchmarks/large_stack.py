"""Time and memory of building a synthetic focal stack of 50 frames of 5 megapixels.

python -m benchmarks.large_stack --work work/large
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tests.support.made_focal_stack import textured, write_capture_json

from mddnet.color import linear_from_srgb8, srgb8_from_linear

HEIGHT, WIDTH, FRAMES = 1944, 2592, 50
STEP_PX = 1.6


def make(folder: Path) -> None:
    """Render a slope from left to right with increasing focus; the blur is a mixture of a few sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    fine = textured(HEIGHT // 2, WIDTH // 2)
    light = linear_from_srgb8(cv2.resize(fine, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))
    sizes = np.array([0.0, 2.0, 4.0, 8.0, 14.0, 24.0, 40.0, 80.0])
    bank = [light] + [cv2.GaussianBlur(light, (0, 0), float(c) / 4) for c in sizes[1:]]
    depth = np.linspace(4, FRAMES - 5, WIDTH)
    names = []
    for i in range(FRAMES):
        position = np.interp(STEP_PX * np.abs(depth - i), sizes, np.arange(len(sizes)))
        frame = np.zeros_like(light)
        for k, plane in enumerate(bank):
            weight = np.clip(1 - np.abs(position - k), 0, None).astype(np.float32)
            if weight.any():
                frame += weight[None, :, None] * plane
        names.append(f"frame_{i:02d}.jpg")
        Image.fromarray(srgb8_from_linear(frame)).save(folder / names[-1], quality=95)
    write_capture_json(folder, names, aligned=False)


def main() -> int:
    """Render the stack if it is missing, build it in a separate process, and print time and memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("work/large"))
    options = parser.parse_args()
    folder = options.work / "captures" / "large"
    if not (folder / "capture.json").is_file():
        make(folder)
    started = time.monotonic()
    command = [sys.executable, "-m", "mddnet", "build", str(folder), "-o", str(options.work / "scenes"), "--rebuild"]
    run = subprocess.run(command, check=False)
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    print(
        f"{FRAMES} frames of {WIDTH} x {HEIGHT}: {seconds:.0f} s, {cpu:.0f} s of processor time, peak memory "
        f"{used.ru_maxrss / 1024**2:.2f} GiB"
    )
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
