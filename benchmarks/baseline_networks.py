"""Networks with the layers of published methods and random weights, for speed measurements only.

Depth Anything V2 Small is built by transformers from its published configuration. The others follow the descriptions of
their papers, on encoders of timm, with common choices for missing details.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config


@dataclass(frozen=True, slots=True)
class BaselineNetwork:
    """A peer at one size of input."""

    name: str  # as the table says it
    gives: str  # what it estimates
    height: int  # of its input
    width: int  # of its input
    build: Callable[[], nn.Module]  # makes it
    likeness: str  # how near it is to the original


class DepthAnythingV2Small(nn.Module):
    """DINOv2 ViT-S/14 with the head of DPT (Yang et al., NeurIPS 2024), by the configuration that is published."""

    def __init__(self) -> None:
        super().__init__()
        backbone = Dinov2Config(
            hidden_size=384,
            num_attention_heads=6,
            num_hidden_layers=12,
            image_size=518,
            patch_size=14,
            out_features=["stage3", "stage6", "stage9", "stage12"],
            reshape_hidden_states=False,
            apply_layernorm=True,
        )
        self.network = DepthAnythingForDepthEstimation(
            DepthAnythingConfig(
                backbone_config=backbone,
                reassemble_hidden_size=384,
                neck_hidden_sizes=[48, 96, 192, 384],
                fusion_hidden_size=64,
                head_hidden_size=32,
            )
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image).predicted_depth


def _conv(inside: int, outside: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, kernel, padding=kernel // 2)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _conv(channels, channels), _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.relu(self.first(functional.relu(x))))


class _Fusion(nn.Module):
    """A fusion block of MiDaS: the skip refined and added, the sum refined, doubled in size and projected."""

    def __init__(self, channels: int, outside: int, skip: bool) -> None:
        super().__init__()
        self.of_skip = _Residual(channels) if skip else None
        self.of_sum, self.out = _Residual(channels), nn.Conv2d(channels, outside, 1)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        if self.of_skip is not None and skip is not None:
            x = x + self.of_skip(skip)
        x = self.of_sum(x)
        return self.out(functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True))


class MidasSmall(nn.Module):
    """MiDaS v2.1 small (Ranftl et al., 2020): EfficientNet-Lite3, four fusion blocks that double in width."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = timm.create_model(
            "tf_efficientnet_lite3", pretrained=False, features_only=True, out_indices=(1, 2, 3, 4)
        )
        widths = (64, 128, 256, 512)
        self.projected = nn.ModuleList(
            nn.Conv2d(channels, width, 3, padding=1, bias=False)
            for channels, width in zip(self.encoder.feature_info.channels(), widths, strict=True)
        )
        self.fusions = nn.ModuleList(
            [_Fusion(64, 64, True), _Fusion(128, 64, True), _Fusion(256, 128, True), _Fusion(512, 256, False)]
        )
        self.head = nn.Sequential(
            _conv(64, 32),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            _conv(32, 32),
            nn.ReLU(),
            nn.Conv2d(32, 1, 1),
            nn.ReLU(),
        )

    def forward(self, image: Tensor) -> Tensor:
        skips = [project(x) for project, x in zip(self.projected, self.encoder(image), strict=True)]
        x = self.fusions[3](skips[3])
        for i in (2, 1, 0):
            x = self.fusions[i](x, skips[i])
        return self.head(x)


class _Up(nn.Module):
    def __init__(self, inside: int, skip: int, outside: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(_conv(inside + skip, outside), nn.ReLU(), _conv(outside, outside), nn.ReLU())

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = functional.interpolate(x, scale_factor=2.0, mode="bilinear")
        return self.convs(x if skip is None else torch.cat([x, skip], dim=1))


class _Decoder(nn.Module):
    def __init__(self, encoder: list[int], widths: list[int], outputs: int) -> None:
        super().__init__()
        skips = [*encoder[-2::-1], *[0] * (len(widths) - len(encoder) + 1)]
        insides = [encoder[-1], *widths[:-1]]
        self.blocks = nn.ModuleList(
            _Up(inside, skip, outside) for inside, skip, outside in zip(insides, skips, widths, strict=True)
        )
        self.head = _conv(widths[-1], outputs)

    def forward(self, features: list[Tensor]) -> Tensor:
        x, skips = features[-1], features[-2::-1]
        for i, block in enumerate(self.blocks):
            x = block(x, skips[i] if i < len(skips) else None)
        return self.head(x)


class DmenetLike(nn.Module):
    """The blur network of DMENet (Lee et al., CVPR 2019): VGG-19 to stride 16, a decoder with skip connections."""

    def __init__(self) -> None:
        super().__init__()
        layers = timm.create_model("vgg19", pretrained=False).features
        cuts = (4, 9, 18, 27, 36)  # before each of the five poolings
        self.stages = nn.ModuleList(
            nn.Sequential(*layers[start:stop]) for start, stop in zip((0, *cuts[:-1]), cuts, strict=True)
        )
        self.decoder = _Decoder([64, 128, 256, 512, 512], [256, 128, 64, 64], 1)

    def forward(self, image: Tensor) -> Tensor:
        features, x = [], image
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return self.decoder(features)


class TwoHeadedLike(nn.Module):
    """2HDED:NET (Nazir et al., ICIP 2022): DenseNet-121, and two decoders, for depth and for a deblurred image."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = timm.create_model("densenet121", pretrained=False, features_only=True)
        channels = self.encoder.feature_info.channels()
        self.depth = _Decoder(channels, [512, 256, 128, 64, 32], 1)
        self.sharp = _Decoder(channels, [512, 256, 128, 64, 32], 3)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(image)
        return self.depth(features), self.sharp(features)


PUBLISHED, DESCRIBED = "published configuration", "after the paper's description"
BASELINES = (
    BaselineNetwork("Depth Anything V2 Small, 392 x 518", "depth", 392, 518, DepthAnythingV2Small, PUBLISHED),
    BaselineNetwork("Depth Anything V2 Small, 518 x 518", "depth", 518, 518, DepthAnythingV2Small, PUBLISHED),
    BaselineNetwork("MiDaS v2.1 small, 192 x 256", "depth", 192, 256, MidasSmall, "published layers"),
    BaselineNetwork("DMENet-like, 384 x 512", "defocus", 384, 512, DmenetLike, DESCRIBED),
    BaselineNetwork("2HDED:NET-like, 384 x 512", "depth, sharp image", 384, 512, TwoHeadedLike, DESCRIBED),
)
"""At the input that each is used with for a photo of 4:3."""
