"""Check a folder of scenes before training: what it contains and what can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mddnet.data.scene_pool import SceneEntry
from mddnet.errors import CaptureError, TrainingError
from mddnet.kinds import KINDS
from mddnet.model.checkpoint import INPUT_LONG_SIDE
from mddnet.optics import signed_defocus_px
from mddnet.scenes.build_tables import read_table
from mddnet.scenes.found import check_images
from mddnet.scenes.scene_stamp import scene_stamp
from mddnet.scenes.store import list_scenes, read_inv_depth, read_scene

SMALLEST_BLUR_PX = 1.0
"""A scene whose strongest blur is below this, in pixels of the network's input, counts as sharp everywhere."""
SMALLEST_KNOWN_SHARE = 0.01
SMALLEST_SIZE_PX = 32
_SAMPLED_PIXELS = 20_000
BUILD_REJECTED = "rejected.csv"  # table of ``mddnet build`` in the folder of scenes: rejected captures


@dataclass(frozen=True, slots=True)
class CheckedScene:
    """A scene that can be used for training."""

    entry: SceneEntry
    height: int
    width: int
    coc_px: tuple[float, float, float]  # 5th, 50th and 95th percentile over pixels and frames, in px of the input
    beyond_share: float  # share of pixels beyond the largest CoC that the network can predict
    unknown_share: float  # share of pixels without a depth

    @property
    def name(self) -> str:
        """``KIND/SCENE``."""
        return f"{self.entry.group}/{self.entry.folder.name}"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A scene, or a capture that ``mddnet build`` rejected (``by_build``), with the reason."""

    name: str  # KIND/SCENE
    reason: str
    by_build: bool = False


@dataclass(frozen=True, slots=True)
class DataCheck:
    """Content of a folder of scenes."""

    root: Path
    scenes: tuple[CheckedScene, ...]  # usable ones, sorted by name
    rejected: tuple[Rejection, ...]
    cap_px: float  # largest CoC that the network can predict, in pixels of its input


def input_scale(height: int, width: int) -> float:
    """Pixels of the network's input per pixel of an image; images are reduced, never enlarged."""
    return min(1.0, INPUT_LONG_SIDE / max(height, width))


def check_data(
    root: Path, cap_px: float, each: Callable[[Sequence[Path]], Iterable[Path]] = lambda folders: folders
) -> DataCheck:
    """Read the description, depth map and image headers of every scene.

    ``cap_px`` is the largest CoC that the network can predict, in pixels of its input; ``each`` iterates over the scene
    folders, for a progress bar. CaptureError if there is no such folder, or no scene in it; TrainingError if no scene
    can be used.
    """
    if not root.is_dir():
        raise CaptureError(f"{root}: no such folder; expected one that `mddnet build CAPTURES -o {root}` wrote")
    scenes, rejected = [], []
    for folder in each(list_scenes(root)):
        try:
            scenes.append(_check_scene(folder, cap_px))
        except CaptureError as error:
            rejected.append(Rejection(f"{folder.parent.name}/{folder.name}", str(error)))
    if not scenes:
        raise TrainingError(
            f"{root}: none of its {len(rejected)} scenes can be used for training. The first, {rejected[0].name}: "
            f"{rejected[0].reason}"
        )
    rejected += [
        Rejection(f"{row.get('group') or '?'}/{row.get('scene') or '?'}", row.get("reason", ""), by_build=True)
        for row in read_table(root / BUILD_REJECTED)
    ]
    return DataCheck(root, tuple(scenes), tuple(rejected), cap_px)


def _check_scene(folder: Path, cap_px: float) -> CheckedScene:
    stamp, record, kind = scene_stamp(folder), read_scene(folder), folder.parent.name
    if kind not in KINDS:
        raise CaptureError(f"{folder}: is in {kind!r}; expected a folder named {', '.join(KINDS)}")
    if not record.frames:
        raise CaptureError(f"{folder / 'scene.json'}: no frames; build the scene again")
    u = read_inv_depth(folder / record.inv_depth)
    height, width = u.shape
    if min(height, width) < SMALLEST_SIZE_PX:
        raise CaptureError(
            f"{folder}: {width} x {height} px; expected at least {SMALLEST_SIZE_PX} px in both directions"
        )
    check_images(folder, record, (width, height))
    known = np.isfinite(u)
    if known.mean() < SMALLEST_KNOWN_SHARE:
        raise CaptureError(
            f"{folder / record.inv_depth}: {known.mean():.1%} of the depth is known, the rest is NaN; expected at "
            f"least {SMALLEST_KNOWN_SHARE:.0%}: check the capture, and build the scene again"
        )
    values, scale = u[known], input_scale(height, width)
    values = values[:: max(1, len(values) // _SAMPLED_PIXELS)]
    coc_px = np.stack([np.abs(signed_defocus_px(values, f.u_focus, f.kappa_px * scale)) for f in record.frames])
    strongest = float(np.percentile(coc_px, 95, axis=1).max())
    if strongest < SMALLEST_BLUR_PX:
        raise CaptureError(
            f"{folder}: everything is sharp (blur of at most {strongest:.1f} px at a long side of {INPUT_LONG_SIDE} "
            f"px; expected at least {SMALLEST_BLUR_PX:g} px), so its depth is not visible: capture it with a wider "
            "aperture, a longer lens, or nearer focus"
        )
    low, middle, high = (float(v) for v in np.percentile(coc_px, [5, 50, 95]))
    entry = SceneEntry(folder, kind, record, stamp)
    beyond, unknown = float((coc_px > cap_px).mean()), 1.0 - float(known.mean())
    return CheckedScene(entry, height, width, (low, middle, high), beyond, unknown)
