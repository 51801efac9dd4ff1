"""Time and memory of `mddnet build` on a made stack of 50 frames of 5 megapixels, and of `mddnet stack` on 30 of 12 MP.

python -m benchmarks.large_stack --work work/large
python -m benchmarks.large_stack --verb stack --work work/large
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

SIZES = {"build": (1944, 2592, 50, 1), "stack": (3000, 4000, 30, 2)}
"""Height, width and number of the frames, and the factor by which they are rendered smaller and enlarged."""
STEP_PX = 1.6


def make(folder: Path, height: int, width: int, frames: int, enlarged: int) -> None:
    """Render a slope from left to right with increasing focus; the blur is a mixture of a few sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    h, w = height // enlarged, width // enlarged
    light = linear_from_srgb8(cv2.resize(textured(h // 2, w // 2), (w, h), interpolation=cv2.INTER_CUBIC))
    sizes = np.array([0.0, 2.0, 4.0, 8.0, 14.0, 24.0, 40.0, 80.0])
    bank = [light] + [cv2.GaussianBlur(light, (0, 0), float(c) / 4) for c in sizes[1:]]
    depth = np.linspace(4, frames - 5, w)
    names = []
    for i in range(frames):
        position = np.interp(STEP_PX * np.abs(depth - i), sizes, np.arange(len(sizes)))
        frame = np.zeros_like(light)
        for k, plane in enumerate(bank):
            weight = np.clip(1 - np.abs(position - k), 0, None).astype(np.float32)
            if weight.any():
                frame += weight[None, :, None] * plane
        names.append(f"frame_{i:02d}.jpg")
        pixels = cv2.resize(srgb8_from_linear(frame), (width, height), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(pixels).save(folder / names[-1], quality=95)
    write_capture_json(folder, names, aligned=False)


def main() -> int:
    """Render the stack if it is missing, build it in a separate process, and print time and memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("work/large"))
    parser.add_argument("--verb", choices=list(SIZES), default="build", help="the command that is measured")
    options = parser.parse_args()
    height, width, frames, enlarged = SIZES[options.verb]
    folder = options.work / "captures" / ("large" if options.verb == "build" else "large_stack")
    if not (folder / "capture.json").is_file():
        make(folder, height, width, frames, enlarged)
    command = [sys.executable, "-m", "mddnet", options.verb, str(folder), "-o"]
    command += [str(options.work / "scenes"), "--rebuild"] if options.verb == "build" else [str(options.work / "out")]
    started = time.monotonic()
    run = subprocess.run(command, check=False)
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    print(
        f"{frames} frames of {width} x {height}: {seconds:.0f} s, {cpu:.0f} s of processor time, peak memory "
        f"{used.ru_maxrss / 1024**2:.2f} GiB"
    )
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
