"""Pseudo-labels: what a teacher estimates for a sharp photo, kept only where it is consistent and blur agrees.

A trained depth network can supply depth for photos without any, as Depth Anything was trained (Yang et al., "Depth
Anything: Unleashing the Power of Large-Scale Unlabeled Data", CVPR 2024). It may be wrong, so it runs three times, on
the photo, its mirror image and its middle, and must order pixels alike. Where blur was photographed it must agree with
that, too: depth from focus follows from the lens law alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mddnet.errors import ModelError
from mddnet.evaluate.methods import Method, checked_infer
from mddnet.metrics import depth_ordinal_accuracy, inv_depth_range
from mddnet.types import BoolArray, Float32Array, UInt8Array

MIDDLE = 0.7
"""Split of the middle, over that of the photo: a method of fixed input size then sees everything 1.4 times as large."""
LARGEST_DIFFERENCE = 0.25
"""Where photo and mirror image differ by more than this share of the range, the depth is unknown."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What a pseudo-label must pass. Each agreement is a share of pixel pairs in the same order; .5 is chance.

    Attributes:
        mirror: least agreement of the photo's depth with that of its mirror image.
        middle: least agreement with that of its middle alone.
        law: least agreement with the depth by real blur, where there is any.
        known: least share of pixels that are left.
    """

    mirror: float = 0.9
    middle: float = 0.85
    law: float = 0.8
    known: float = 0.6

    def __post_init__(self) -> None:
        for name in ("mirror", "middle", "law", "known"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"Checks.{name} is {value!r}; expected a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class TeacherOutput:
    """A teacher's depth of a sharp photo.

    Attributes:
        inv_depth: (H, W) float32, relative: 0 at the 2nd and 1 at the 98th percentile of the teacher's depth, NaN where
            its answers differ.
        measures: the agreements by name (``mirror``, ``middle``, ``law`` where it could be measured) and ``known``.
        reason: the check that failed, in words, or "".
    """

    inv_depth: Float32Array
    measures: dict[str, float]
    reason: str = ""


def pseudo_label(
    teacher: Method,
    sharp: UInt8Array,
    checks: Checks | None = None,
    measured: Float32Array | None = None,
    mask: BoolArray | None = None,
) -> TeacherOutput:
    """Run a teacher on a sharp photo, and check its depth.

    Args:
        teacher: a method that states depth.
        sharp: (H, W, 3) uint8 sRGB.
        checks: what must hold; None is the default of each.
        measured: (H, W) inverse depth by real blur, NaN where unknown; None where there is none.
        mask: (H, W) bool, where ``measured`` is compared.

    Raises:
        ModelError: if the method has no depth, or answers with something else than it announced.
        ValueError: if ``measured`` has another shape than the photo.
    """
    checks = checks or Checks()
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
        if np.isfinite(law):  # not where the scene has one depth, or none is known
            found["law"] = law
    if not (reason := _failed(found, checks)):  # no third run on what failed by two
        rows, columns = (_middle(side) for side in sharp.shape[:2])
        middle = _inv_depth(teacher, np.ascontiguousarray(sharp[rows, columns]))
        found["middle"] = depth_ordinal_accuracy(middle, whole[rows, columns], None)
        reason = _failed(found, checks)
    return TeacherOutput(depth, found, reason)


def _inv_depth(teacher: Method, photo: UInt8Array) -> Float32Array:
    inv_depth = checked_infer(teacher, photo).inv_depth
    if inv_depth is None:
        raise ModelError(f"{teacher.name}: states {', '.join(teacher.quantities)}; expected inv_depth or depth_m")
    return inv_depth


def _normalised(inv_depth: Float32Array) -> Float32Array | None:
    """0 at the 2nd and 1 at the 98th percentile; None without a range."""
    spread = inv_depth_range(inv_depth)
    if not spread > 0:
        return None
    return ((inv_depth - np.percentile(inv_depth, 2)) / spread).astype(np.float32)


def _middle(side: int) -> slice:
    width = round(MIDDLE * side)
    first = (side - width) // 2
    return slice(first, first + width)


def _failed(found: dict[str, float], checks: Checks) -> str:
    for name, value in found.items():
        least = getattr(checks, name)
        if not value >= least:  # NaN fails, too
            return f"{name} {value:.3f}; expected at least {least:g}"
    return ""
