"""Pseudo-labels: a teacher's depth for a sharp photo, accepted only if it is consistent and agrees with blur.

A trained depth network can provide depth for photos without any, as in the training of Depth Anything (Yang et al.,
"Depth Anything: Unleashing the Power of Large-Scale Unlabeled Data", CVPR 2024). Since it may be wrong, it runs three
times, on the photo, its mirror image and its centre crop, and must order pixels consistently. Where blurred frames
exist, it must also agree with depth from focus.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from mddnet.errors import ModelError
from mddnet.evaluate.methods import Method, checked_infer
from mddnet.metrics import depth_ordinal_accuracy, inv_depth_range
from mddnet.types import BoolArray, Float32Array, UInt8Array

MIDDLE = 0.7
"""Size of the centre crop over that of the photo: for a fixed input size, everything becomes 1.4 times as large."""
LARGEST_DIFFERENCE = 0.25
"""Where photo and mirror image differ by more than this share of the range, the depth is unknown."""


@dataclass(frozen=True, slots=True)
class Checks:
    """Checks of a pseudo-label. Each agreement is the share of pixel pairs in the same order; 0.5 is chance."""

    mirror: float = 0.9  # minimum agreement of the photo's depth with that of its mirror image
    middle: float = 0.85  # minimum agreement with that of its centre crop
    law: float = 0.8  # minimum agreement with depth from focus, where available
    known: float = 0.6  # minimum share of known pixels

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"Checks.{name} is {value!r}; expected a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class TeacherOutput:
    """A teacher's depth of a sharp photo."""

    inv_depth: Float32Array  # (H, W), 0 at the 2nd and 1 at the 98th percentile, NaN where the estimates differ
    measures: dict[str, float]  # agreements by name (``law`` where it can be measured), and ``known``
    reason: str = ""  # the check that failed, or ""


def pseudo_label(
    teacher: Method,
    sharp: UInt8Array,
    checks: Checks = Checks(),
    measured: Float32Array | None = None,
    mask: BoolArray | None = None,
) -> TeacherOutput:
    """Run a teacher on a sharp photo, and check its depth.

    ``measured`` is the inverse depth from focus, NaN where unknown, compared in ``mask``; ValueError for another shape
    than that of the photo. ModelError if the method has no depth, or its output does not match its quantities.
    """
    whole = _normalised(_inv_depth(teacher, sharp))
    if whole is None:
        nothing = np.full(sharp.shape[:2], np.nan, dtype=np.float32)
        return TeacherOutput(nothing, {"known": 0.0}, "range 0: one depth throughout")
    mirrored = _normalised(_inv_depth(teacher, np.ascontiguousarray(sharp[:, ::-1])))
    if mirrored is None:
        return TeacherOutput(whole, {"known": 0.0}, "range 0: one depth throughout the mirror image")
    mirrored = mirrored[:, ::-1]
    depth = np.where(np.abs(whole - mirrored) > LARGEST_DIFFERENCE, np.nan, (whole + mirrored) / 2).astype(np.float32)
    found = {"known": float(np.isfinite(depth).mean()), "mirror": depth_ordinal_accuracy(mirrored, whole, None)}
    if measured is not None:
        law = depth_ordinal_accuracy((whole + mirrored) / 2, measured, mask)
        if np.isfinite(law):  # NaN if the scene has one depth, or none is known
            found["law"] = law
    if not (reason := _failed(found, checks)):  # the third run only if the first two agree
        first = [(size - round(MIDDLE * size)) // 2 for size in sharp.shape[:2]]
        centre = tuple(slice(at, at + round(MIDDLE * size)) for at, size in zip(first, sharp.shape, strict=False))
        middle = _inv_depth(teacher, np.ascontiguousarray(sharp[centre]))
        found["middle"] = depth_ordinal_accuracy(middle, whole[centre], None)
        reason = _failed(found, checks)
    return TeacherOutput(depth, found, reason)


def _inv_depth(teacher: Method, photo: UInt8Array) -> Float32Array:
    inv_depth = checked_infer(teacher, photo).inv_depth
    if inv_depth is None:
        raise ModelError(f"{teacher.name}: estimates {', '.join(teacher.quantities)}; expected inv_depth or depth_m")
    return inv_depth


def _normalised(inv_depth: Float32Array) -> Float32Array | None:
    """0 at the 2nd and 1 at the 98th percentile; None without a range."""
    spread = inv_depth_range(inv_depth)
    if not spread > 1e-5 * float(np.abs(inv_depth).max()):  # one depth, but for rounding
        return None
    return ((inv_depth - np.percentile(inv_depth, 2)) / spread).astype(np.float32)


def _failed(found: dict[str, float], checks: Checks) -> str:
    for name, value in found.items():
        least = getattr(checks, name)
        if not value >= least:  # NaN fails
            return f"{name} {value:.3f}; expected at least {least:g}"
    return ""
