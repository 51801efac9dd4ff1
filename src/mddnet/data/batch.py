"""A batch of samples, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops of one size, with their truth at the stride of the network's maps; without B, one crop.

    CoC and kappa are in pixels of the image.
    """

    image: Tensor  # (B, 3, H, W) float32 sRGB in [0, 1], the focused image
    inv_depth: Tensor  # (B, 1, H / 4, W / 4) float32 in units of the scene's 2-98 % range, NaN where unknown
    signed_defocus_px: Tensor  # (B, 1, H / 4, W / 4) float32, positive behind the plane of focus, NaN where unknown
    weight: Tensor  # (B, 1, H / 4, W / 4) float32 in [0, 1], confidence of the truth, 0 where unknown
    u_focus: Tensor  # (B,) float32, in the unit of inv_depth
    kappa_px: Tensor  # (B,) float32, pixels per unit of inv_depth
    camera: Tensor  # (B, 2) float32: log tangent of half the field of view of the long side, log median depth in m; NaN
    ordinal: Tensor  # (B,) bool, whether only the order of depths is known
    exact: Tensor  # (B,) bool, whether the edges of the true depth are exact
    synthetic: Tensor  # (B,) bool, whether the depth is synthetic: its blur is exact, its layout arbitrary
    pseudo: Tensor  # (B,) bool, whether the depth is a pseudo-label
    crisp: Tensor  # (B,) bool, whether what is stated to be sharp is sharp

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> Batch:
        """The batch on another device; the image in the given memory format."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        moved["image"] = moved["image"].contiguous(memory_format=memory_format)
        return Batch(**moved)
