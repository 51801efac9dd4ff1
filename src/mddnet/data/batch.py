"""A batch of samples, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops of one size, with their truth at the stride of the network's maps; without B, one crop.

    CoC and kappa are in pixels of the image.
    """

    image: Float32[Tensor, "*B 3 H W"]  # sRGB in [0, 1], the focused image
    inv_depth: Float32[Tensor, "*B 1 H//4 W//4"]  # in units of the scene's 2-98 % range, NaN where unknown
    signed_defocus_px: Float32[Tensor, "*B 1 H//4 W//4"]  # positive behind the plane of focus, NaN where unknown
    weight: Float32[Tensor, "*B 1 H//4 W//4"]  # in [0, 1], confidence of the truth, 0 where unknown
    u_focus: Float32[Tensor, "*B"]  # in the unit of inv_depth
    kappa_px: Float32[Tensor, "*B"]  # pixels per unit of inv_depth
    camera: Float32[Tensor, "*B 2"]
    """Log tangent of half the field of view of the long side, and log median depth in m; NaN where unknown."""
    ordinal: Bool[Tensor, "*B"]  # whether only the order of depths is known
    exact: Bool[Tensor, "*B"]  # whether the edges of the true depth are exact
    synthetic: Bool[Tensor, "*B"]  # whether the depth is synthetic: its blur is exact, its layout arbitrary
    pseudo: Bool[Tensor, "*B"]  # whether the depth is a pseudo-label
    crisp: Bool[Tensor, "*B"]  # whether what is stated to be sharp is sharp

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> Batch:
        """The batch on another device; the image in the given memory format."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        moved["image"] = moved["image"].contiguous(memory_format=memory_format)
        return Batch(**moved)
