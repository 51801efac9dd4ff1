"""The soft connection: a learned two-way link between the two decoders that starts as the identity."""

from __future__ import annotations

from torch import Tensor, nn


class SoftConnection(nn.Module):
    """Add to each decoder's features a 1x1 projection of the other's; both projections start at zero.

    The paper names the link and its place (at every upsampling block) but not its form; this form is ours.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_depth = nn.Conv2d(channels, channels, 1)
        self.to_defocus = nn.Conv2d(channels, channels, 1)
        for layer in (self.to_depth, self.to_defocus):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, depth: Tensor, defocus: Tensor) -> tuple[Tensor, Tensor]:
        """Two (B, C, H, W) features to two of the same shape: depth, defocus."""
        return depth + self.to_depth(defocus), defocus + self.to_defocus(depth)
