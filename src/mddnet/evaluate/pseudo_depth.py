"""Pseudo-depth: what another method says of a sharp photo, kept only where it is of one mind and blur does not object.

A trained depth method can lend scenes as they are to photos without a depth, as Depth Anything was trained (Yang et
al., "Depth Anything: Unleashing the Power of Large-Scale Unlabeled Data", CVPR 2024). It may be wrong, so it is asked
three times, about the photo, its mirror image and its middle, and what it says must have one order. Where blur was
photographed it is asked against that, too: depth from focus follows from the lens law alone, and owes nothing to the
looks of a scene.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mddnet.errors import ModelError
from mddnet.evaluate.peers.peer import Peer, checked_answer, inv_depth_of
from mddnet.metrics import depth_ordinal_accuracy, inv_depth_range
from mddnet.types import BoolArray, Float32Array, UInt8Array

MIDDLE = 0.7
"""Side of the middle that is asked about by itself, over that of the photo: a method that works at one size then sees
everything 1.4 times as large."""
LARGEST_DIFFERENCE = 0.25
"""Where the answers for photo and mirror image differ by more than this share of the range, the depth is unknown."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What a pseudo-depth must pass. Each agreement is a share of pixel pairs in the same order; .5 is chance.

    Attributes:
        mirror: least agreement of the photo's answer with that for its mirror image.
        middle: least agreement with that for its middle alone.
        law: least agreement with the depth that real blur tells, where there is any.
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
class PseudoDepth:
    """A method's depth of a sharp photo.

    Attributes:
        inv_depth: (H, W) float32, relative: 0 at the 2nd and 1 at the 98th percentile of the method's answer, NaN where
            its answers differ.
        measures: the agreements by name (``mirror``, ``middle``, ``law`` where it could be measured) and ``known``.
        reason: the check that failed, in words, or "".
    """

    inv_depth: Float32Array
    measures: dict[str, float]
    reason: str = ""


def pseudo_depth(
    teacher: Peer,
    sharp: UInt8Array,
    checks: Checks | None = None,
    measured: Float32Array | None = None,
    mask: BoolArray | None = None,
) -> PseudoDepth:
    """Ask a method about a sharp photo, and check what it says.

    Args:
        teacher: a method that answers with depth.
        sharp: (H, W, 3) uint8 sRGB.
        checks: what must hold; None is the default of each.
        measured: (H, W) inverse depth by real blur, NaN where unknown; None where there is none.
        mask: (H, W) bool, where ``measured`` is asked.

    Raises:
        ModelError: if the method has no depth, or answers with something else than it announced.
        ValueError: if ``measured`` has another shape than the photo.
    """
    checks = checks or Checks()
    whole = _normalised(_asked(teacher, sharp))
    if whole is None:
        nothing = np.full(sharp.shape[:2], np.nan, dtype=np.float32)
        return PseudoDepth(nothing, {"known": 0.0}, "range 0: it says one depth throughout")
    found: dict[str, float] = {}
    mirrored = _normalised(_asked(teacher, np.ascontiguousarray(sharp[:, ::-1])))
    if mirrored is None:
        return PseudoDepth(whole, {"known": 0.0}, "range 0: it says one depth throughout of the mirror image")
    mirrored = mirrored[:, ::-1]
    depth = np.where(np.abs(whole - mirrored) > LARGEST_DIFFERENCE, np.nan, (whole + mirrored) / 2).astype(np.float32)
    found["known"] = float(np.isfinite(depth).mean())
    found["mirror"] = depth_ordinal_accuracy(mirrored, whole, None)
    if measured is not None:
        law = depth_ordinal_accuracy((whole + mirrored) / 2, measured, mask)
        if np.isfinite(law):  # not where the scene has one depth, or none is known
            found["law"] = law
    reason = _failed(found, checks)
    if reason:  # no third look at what failed by two
        return PseudoDepth(depth, found, reason)
    rows, columns = (_middle(side) for side in sharp.shape[:2])
    found["middle"] = depth_ordinal_accuracy(
        _asked(teacher, np.ascontiguousarray(sharp[rows, columns])), whole[rows, columns], None
    )
    return PseudoDepth(depth, found, _failed(found, checks))


def _asked(teacher: Peer, photo: UInt8Array) -> Float32Array:
    inv_depth = inv_depth_of(checked_answer(teacher, photo))
    if inv_depth is None:
        raise ModelError(f"{teacher.name}: answers with {', '.join(teacher.quantities)}; expected inv_depth or depth_m")
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
