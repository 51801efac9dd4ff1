"""The layout of the scene from a foundation encoder: frozen DINOv2 features, added to the coarse levels.

Blur is local and can be learnt from little, the layout of a scene cannot. Features of DINOv2 (Oquab et al., "DINOv2:
Learning Robust Visual Features without Supervision", TMLR 2024) come from far more photos than there are captures here.
They are computed at 7/8 of the size of the input, so that their patches of 14 px are cells of 16 px of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mddnet.model.injection import Injection
from mddnet.model.pretrained import dinov2_state

VIT = "vit_small_patch14_dinov2"
VIT_CHANNELS = 384
PATCH_PX = 14
STRIDE = 16
"""Pixels of the input that a patch stands for."""
DROPPED = 0.5
"""Share of the features that are left out of a training image: all together they tell one training place from another,
and a network that knows the place has no need of the blur."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class LayoutFeatures(nn.Module):
    """DINOv2 ViT-S/14, frozen: it neither learns nor drops anything, in training as in evaluation."""

    def __init__(self, pretrained: bool) -> None:
        """Build it.

        Args:
            pretrained: whether it starts from its trained weights; otherwise they come from a checkpoint.

        Raises:
            ModelError: if the weights are asked for and not installed.
        """
        super().__init__()
        self.vit = timm.create_model(VIT, pretrained=False, num_classes=0)
        if pretrained:
            self.vit.load_state_dict(dinov2_state(), strict=True)
        self.vit.requires_grad_(False)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> LayoutFeatures:
        super().train(mode)
        self.vit.eval()
        return self

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Features (B, 384, H / 16, W / 16) of an sRGB image (B, 3, H, W) in [0, 1], H and W multiples of 16."""
        *_, last = self._after_blocks(image)
        return self._on_grid(self.vit.norm(last), image)

    @torch.no_grad()
    def of_blocks(self, image: Tensor, blocks: Sequence[int]) -> Tensor:
        """What some blocks of the transformer give, counted from 0: (B, 384 * len(blocks), H / 16, W / 16)."""
        after = self._after_blocks(image)
        return torch.cat([self._on_grid(after[n], image) for n in blocks], dim=1)

    def _after_blocks(self, image: Tensor) -> list[Tensor]:
        rows, columns = image.shape[2] // STRIDE, image.shape[3] // STRIDE
        small = F.interpolate(image, size=(rows * PATCH_PX, columns * PATCH_PX), mode="bilinear", align_corners=False)
        patches = self.vit.patch_embed.proj((small - self.mean) / self.std)
        tokens = patches.flatten(2).transpose(1, 2)
        whole, grid = self.vit.pos_embed[:, :1], self.vit.pos_embed[:, 1:]
        side = int(grid.shape[1] ** 0.5)
        grid = grid.reshape(1, side, side, VIT_CHANNELS).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False)
        tokens = tokens + grid.flatten(2).transpose(1, 2)
        first = (self.vit.cls_token + whole).expand(tokens.shape[0], -1, -1)
        x = torch.cat([first, tokens], dim=1)
        after = []
        for block in self.vit.blocks:
            x = block(x)
            after.append(x)
        return after

    @staticmethod
    def _on_grid(tokens: Tensor, image: Tensor) -> Tensor:
        patches = tokens[:, 1:].transpose(1, 2)
        return patches.reshape(tokens.shape[0], VIT_CHANNELS, image.shape[2] // STRIDE, image.shape[3] // STRIDE)


class LayoutInjection(Injection):
    """Adds the layout's features to the encoder's levels of stride 16 and coarser; starts as the identity."""

    def __init__(self, channels: list[int], strides: list[int]) -> None:
        super().__init__(VIT_CHANNELS, STRIDE, channels, strides)
        self.drop = nn.Dropout2d(DROPPED)

    def forward(self, levels: list[Tensor], features: Tensor) -> list[Tensor]:
        return super().forward(levels, self.drop(features))
