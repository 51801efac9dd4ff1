"""A linear probe: the depth of sharp photos from frozen features of DINOv2, fitted in closed form.

With so few locations, a head that is trained by gradient descent overfits within some hundred steps; a regularised
linear function of the features does not (El Banani et al., "Probing the 3D Awareness of Visual Foundation Models",
CVPR 2024, probe depth in this way). It predicts the layout of a scene without details, and is a teacher for
``mddnet label``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from research.linear_probe.features import STRIDE, VIT_CHANNELS, DinoFeatures
from torch import Tensor, nn

from mddnet.data.evenly import evenly
from mddnet.data.scene_pool import SceneEntry, read_truth
from mddnet.errors import TrainingError
from mddnet.scenes.store import read_image
from mddnet.types import Float32Array, UInt8Array

BLOCKS = (6, 9, 11)
"""Blocks of the transformer whose output is probed, counted from 0."""
RIDGE = 0.3
"""Penalty of squared weights, for features of unit variance."""
LONG_SIDE_PX = 512
"""Long edge of the input of the probe."""
VIEWS = 6
"""Views of each scene: the whole, its mirror image, then random crops, every other one mirrored."""
CROP_SHARE = (0.5, 0.95)
"""Range of the size of a crop relative to the scene."""
CROP_LONG_SIDES_PX = (384, 448, 512, 640)
SCENES_PER_LOCATION = 12
GROUPS = ("focal_stacks", "light_fields", "rgbd", "stereo", "all_in_3d", "rigs")
"""Groups with measured depth."""
KNOWN_SHARE = 0.5
"""Share of known pixels that a cell needs."""
FEWEST_CELLS = 20


class DepthProbe(nn.Module):
    """Relative inverse depth as a linear function of frozen features."""

    def __init__(self, features: DinoFeatures, weight: NDArray[np.floating]) -> None:
        """Build it from the weights of the features, (384 * len(BLOCKS),)."""
        super().__init__()
        self.features = features
        self.weight: Tensor
        self.register_buffer("weight", torch.from_numpy(np.asarray(weight, dtype=np.float32)).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H / 16, W / 16), larger is nearer, of an sRGB image (B, 3, H, W) in [0, 1], multiples of 16."""
        return (self.features(image, BLOCKS) * self.weight).sum(dim=1, keepdim=True)


def fit_probe(
    entries: Sequence[SceneEntry], features: DinoFeatures, seed: int = 0, done: Callable[[], object] | None = None
) -> NDArray[np.float64]:
    """Fit the weights of a :class:`DepthProbe` to the order of depth in sharp images, by ridge regression.

    Within a view the target of a cell is the rank of its median inverse depth, from -1/2 to 1/2, and the mean of the
    features is subtracted, because only the order of depth is learnt. Locations have equal weight.

    Args:
        entries: scenes with measured depth, selected by :func:`probe_scenes`.
        features: DINOv2.
        seed: of the random views.
        done: called after each scene.

    Returns:
        (384 * len(BLOCKS),).

    Raises:
        TrainingError: if no view of any scene has enough depth.
    """
    locations = Counter(entry.record.location for entry in entries)
    size = VIT_CHANNELS * len(BLOCKS)
    gram, moment = np.zeros((size, size)), np.zeros(size)
    rng = np.random.default_rng(seed)
    for entry in entries:
        truth = read_truth(entry)
        inv_depth = np.where(truth.weight > KNOWN_SHARE, truth.inv_depth, np.nan).astype(np.float32)
        sharp = read_image(entry.folder / entry.record.sharp)
        for view in range(VIEWS):
            picture, depth, long_side = _view(sharp, inv_depth, view, rng)
            found = _cells(features, picture, depth, long_side)
            if found is not None:
                x, y = found
                weight = 1.0 / (locations[entry.record.location] * len(y))
                gram += weight * (x.T @ x)
                moment += weight * (x.T @ y)
        if done is not None:
            done()
    return ridge(gram / max(len(locations), 1), moment / max(len(locations), 1))


def depth_probe(
    entries: Sequence[SceneEntry], seed: int, threads: int, done: Callable[[], object] | None = None
) -> DepthProbe:
    """Fit a probe by :func:`fit_probe` on DINOv2 with its trained weights, with ``threads`` CPU threads.

    Raises:
        ModelError: if the weights of DINOv2 are not installed.
        TrainingError: if no view of any scene has enough depth.
    """
    torch.set_num_threads(threads)
    features = DinoFeatures(pretrained=True).eval()
    return DepthProbe(features, fit_probe(entries, features, seed, done))


def ridge(gram: NDArray[np.float64], moment: NDArray[np.float64], cost: float = RIDGE) -> NDArray[np.float64]:
    """Weights w that minimise the mean of (x w - y)^2 + cost * sum (std(x) w)^2 (Hoerl and Kennard 1970).

    Args:
        gram: (P, P) mean of x x^T; x has mean 0.
        moment: (P,) mean of x y.
        cost: penalty of squared weights, for features of unit variance, > 0.

    Raises:
        TrainingError: if all features are constant.
    """
    deviation = np.sqrt(np.diag(gram))
    if not deviation.max() > 0:
        raise TrainingError("no scene has depth to fit a probe to; expected scenes with known depth")
    scale = 1.0 / np.where(deviation > 0, deviation, np.inf)  # a constant feature has weight 0
    normal = gram * scale[:, None] * scale[None] + cost * np.eye(len(moment))
    return np.asarray(np.linalg.solve(normal, moment * scale) * scale)


def probe_scenes(entries: Sequence[SceneEntry]) -> list[SceneEntry]:
    """Scenes with measured depth, at most twelve of a location, evenly spaced."""
    by_location: dict[str, list[SceneEntry]] = {}
    for entry in entries:
        if entry.group in GROUPS:
            by_location.setdefault(entry.record.location, []).append(entry)
    chosen: list[SceneEntry] = []
    for scenes in by_location.values():
        chosen += [scenes[n] for n in evenly(len(scenes), SCENES_PER_LOCATION)]
    return chosen


def _view(
    sharp: UInt8Array, inv_depth: Float32Array, view: int, rng: np.random.Generator
) -> tuple[UInt8Array, Float32Array, int]:
    """A view of a scene, and the long side to which it is resized."""
    long_side = LONG_SIDE_PX
    if view >= 2:
        share = rng.uniform(*CROP_SHARE)
        height, width = (int(share * n) for n in inv_depth.shape)
        top, left = (int(rng.integers(n - kept + 1)) for n, kept in zip(inv_depth.shape, (height, width), strict=True))
        part = np.s_[top : top + height, left : left + width]
        sharp, inv_depth = sharp[part], inv_depth[part]
        long_side = int(rng.choice(CROP_LONG_SIDES_PX))
    if view % 2:
        sharp, inv_depth = sharp[:, ::-1], inv_depth[:, ::-1]
    return sharp, inv_depth, long_side


def _cells(
    features: DinoFeatures, picture: UInt8Array, inv_depth: Float32Array, long_side: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Features (N, P) minus their mean and ranks (N,) of the cells with known depth; None if there are too few."""
    image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float() / 255
    rows, columns = (max(4, round(n * long_side / (max(inv_depth.shape) * STRIDE))) for n in inv_depth.shape)
    image = F.interpolate(
        image, (rows * STRIDE, columns * STRIDE), mode="bilinear", align_corners=False, antialias=True
    )
    depth = cell_medians(inv_depth, rows, columns).ravel()
    known = np.isfinite(depth)
    if known.sum() < FEWEST_CELLS:
        return None
    x = features(image, BLOCKS)[0].flatten(1).numpy().T[known].astype(np.float64)
    y = np.argsort(np.argsort(depth[known], kind="stable")) / known.sum() - 0.5
    return x - x.mean(axis=0), y - y.mean()


def cell_medians(inv_depth: Float32Array, rows: int, columns: int) -> NDArray[np.float64]:
    """Median of the known values of each cell of a grid, (rows, columns); NaN if half of it or more is unknown."""
    height, width = inv_depth.shape
    medians = np.full((rows, columns), np.nan)
    for row in range(rows):
        band = inv_depth[row * height // rows : max((row + 1) * height // rows, row * height // rows + 1)]
        for column in range(columns):
            first = column * width // columns
            cell = band[:, first : max((column + 1) * width // columns, first + 1)]
            known = cell[np.isfinite(cell)]
            if known.size > KNOWN_SHARE * cell.size:
                medians[row, column] = np.median(known)
    return medians
