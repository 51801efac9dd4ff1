"""Features of another source, added to the levels of the encoder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Injection(nn.Module):
    """Adds features to the encoder's levels of their stride and coarser; starts as the identity."""

    def __init__(self, feature_channels: int, feature_stride: int, channels: list[int], strides: list[int]) -> None:
        """Build it.

        Args:
            feature_channels: channels of what is added.
            feature_stride: pixels of the input that one of its cells stands for.
            channels: of the encoder's levels, fine to coarse.
            strides: of the encoder's levels.
        """
        super().__init__()
        self.feature_stride, self.strides = feature_stride, strides
        self.project = nn.ModuleList(
            nn.Conv2d(feature_channels, c, 1, bias=False) if s >= feature_stride else nn.Identity()
            for c, s in zip(channels, strides, strict=True)
        )
        for layer in self.project:
            if isinstance(layer, nn.Conv2d):
                nn.init.zeros_(layer.weight)

    def forward(self, levels: list[Tensor], features: Tensor) -> list[Tensor]:
        """The encoder's levels, fine to coarse, each with the features added."""
        result = []
        for level, stride, layer in zip(levels, self.strides, self.project, strict=True):
            if stride < self.feature_stride:
                result.append(level)
                continue
            pooled = F.avg_pool2d(features, stride // self.feature_stride) if stride > self.feature_stride else features
            result.append(level + layer(pooled))
        return result
