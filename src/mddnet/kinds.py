"""The kinds of captures: one record each, which building, training, evaluation and tables iterate over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of capture.

    Attributes:
        name: folder of its scenes below a scene root, key in the mixture of a recipe, and name in tables.
        title: heading in tables and reports.
        capture: what ``scene.json`` states as ``capture``.
        real: whether the frames are photographs; else they are rendered from a sharp image and its depth.
        share: default share in training when ``mddnet train --data`` chooses the mixture.
        frames_measured: frames of a scene that an evaluation measures; 0 where the depth is no truth to measure with.
    """

    name: str
    title: str
    capture: str
    real: bool
    share: float
    frames_measured: int = 0


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("focal_stacks", "Focal stacks", "focal_stack", real=True, share=0.4, frames_measured=6),
        Kind("light_fields", "Light fields", "light_field", real=True, share=0.2, frames_measured=6),
        Kind("rgbd", "RGB-D", "rgbd", real=False, share=0.2, frames_measured=2),
        Kind("stereo", "Stereo", "stereo", real=False, share=0.2, frames_measured=3),
        Kind("all_in_3d", "ALL-in-3D", "all_in_3d", real=True, share=0.4, frames_measured=6),
        Kind("rigs", "Rigs", "rig", real=True, share=0.4, frames_measured=6),
        Kind("photos", "Photos with synthetic depth", "photo", real=False, share=0.3),
        Kind("pseudo", "Photos with pseudo-labels", "pseudo", real=False, share=0.1),
    )
}
"""By name, in the order in which tables list them."""
