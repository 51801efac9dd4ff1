"""Global context at the coarsest level: the plane of focus is a property of the whole photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


class GlobalContext(nn.Module):
    """One transformer block over all positions of the coarsest features, added to them.

    Position enters only through a depth-wise convolution, so any height and width works (Chu et al.,
    "Conditional Positional Encodings", 2021). Attention as in Vaswani et al., 2017, eq. 1.
    """

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm_attention = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.norm_mlp = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The features with their context."""
        b, c, h, w = x.shape
        x = x + self.position(x)
        tokens = x.flatten(2).transpose(1, 2)  # (B, HW, C)
        q, k, v = (
            self.qkv(self.norm_attention(tokens))
            .reshape(b, h * w, 3, self.heads, c // self.heads)
            .permute(2, 0, 3, 1, 4)
        ).unbind(0)  # each (B, heads, HW, C / heads)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, c)
        tokens = tokens + self.project(attended)
        tokens = tokens + self.mlp(self.norm_mlp(tokens))
        return tokens.transpose(1, 2).reshape(b, c, h, w)
