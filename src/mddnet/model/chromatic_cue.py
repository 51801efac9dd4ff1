"""The colour of blur: longitudinal chromatic aberration as a cue to the sign of the defocus.

No lens brings all colours to one focus. With an ordinary achromat red and blue focus a little farther than green
(Kingslake and Johnson, "Lens Design Fundamentals", 2nd ed. 2010, section 5.5), so behind the plane of focus the red
channel of a photo is the sharper one, in front of it the green one. That this tells depth was shown by Garcia, Caselles
and Deriche, "Chromatic aberration and depth extraction" (ICPR 2000), and Trouve et al., "Passive depth estimation using
chromatic aberration and a depth from defocus approach" (Applied Optics 52, 2013). An encoder trained on ImageNet hardly
compares the sharpness of its channels, so the comparison is made for it here, with fixed filters.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mddnet.model.decoder import conv_bn_relu

BANDS = 4
"""Frequency bands, an octave each; the finest holds what blur of a pixel takes away."""
WINDOWS = 2
"""Sizes of the neighbourhood in which contrast is measured: about 12 and 60 px across."""
STATISTICS = WINDOWS * (2 * BANDS + (BANDS - 1) + 1)
CUE_STRIDE = 4
CUE_CHANNELS = 32
_ENERGY_FLOOR = 1e-6
"""Variance in linear light (white = 1) below which contrast is noise."""
_DISPLAY_GAMMA = 2.2


class Cue(NamedTuple):
    """What the colours say, at stride 4.

    Attributes:
        features: (B, 32, H/4, W/4).
        sign_logit: (B, 1, H/4, W/4), log-odds of lying behind the plane of focus by the colours alone.
    """

    features: Tensor
    sign_logit: Tensor


class ChromaticStatistics(nn.Module):
    """Contrast per colour channel, band and neighbourhood, compared between channels. Nothing here is learned."""

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
        self.kernel: Tensor
        self.register_buffer("kernel", (row[:, None] * row[None, :]).expand(3, 1, 5, 5).contiguous(), persistent=False)

    def _smooth(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), self.kernel, groups=3)

    def forward(self, image: Tensor) -> Tensor:
        """Statistics of an sRGB image.

        Args:
            image: (B, 3, H, W) in [0, 1], H and W multiples of 32.

        Returns:
            (B, STATISTICS, H/4, W/4): per neighbourhood, log contrast of red over green and of blue over green in each
            band (fine to coarse), then of green in each band over that in the next coarser one, then of green in the
            coarsest band. All but the last are free of exposure.
        """
        # in linear light, where blur is linear; a power is close enough to the sRGB curve for a ratio of contrasts
        x = image.clamp_min(1e-4) ** _DISPLAY_GAMMA
        energies = []
        for band in range(BANDS):
            smooth = self._smooth(x)
            energy = (x - smooth) ** 2
            stride = 2**band
            if stride < CUE_STRIDE:
                energy = F.avg_pool2d(energy, CUE_STRIDE // stride)
            elif stride > CUE_STRIDE:
                factor = float(stride // CUE_STRIDE)
                energy = F.interpolate(energy, scale_factor=factor, mode="bilinear", align_corners=False)
            energies.append(energy)
            x = F.avg_pool2d(smooth, 2)
        statistics = []
        for window in range(WINDOWS):
            logs = []
            for energy in energies:
                if window == 0:
                    mean = self._smooth(energy)
                else:
                    coarse = self._smooth(F.avg_pool2d(energy, 4))
                    mean = F.interpolate(coarse, scale_factor=4.0, mode="bilinear", align_corners=False)
                logs.append(torch.log(mean + _ENERGY_FLOOR))
            for log in logs:
                statistics += [log[:, :1] - log[:, 1:2], log[:, 2:] - log[:, 1:2]]
            statistics += [fine[:, 1:2] - coarse[:, 1:2] for fine, coarse in pairwise(logs)]
            statistics.append(logs[-1][:, 1:2])
        return torch.cat(statistics, dim=1)


class ChromaticCue(nn.Module):
    """Features and a sign logit from the statistics: a small U-Net that never sees the picture itself.

    One neighbourhood says little: what a lens's colours mean is a property of the whole photo, and the sign is the same
    over wide areas. Without the picture it cannot overfit to scenes.
    """

    def __init__(self) -> None:
        super().__init__()
        width = CUE_CHANNELS
        self.statistics = ChromaticStatistics()
        self.norm = nn.BatchNorm2d(STATISTICS)
        self.enter = nn.Sequential(
            nn.Conv2d(STATISTICS, width, 1), nn.ReLU(inplace=True), conv_bn_relu(width, width, 3)
        )
        self.down = nn.ModuleList(
            nn.Sequential(conv_bn_relu(width, width, 3, stride=2), conv_bn_relu(width, width, 3)) for _ in range(3)
        )
        self.whole = nn.Linear(width, width)
        self.up = nn.ModuleList(conv_bn_relu(2 * width, width, 3) for _ in range(3))
        self.sign = nn.Conv2d(width, 1, 1)

    def forward(self, image: Tensor) -> Cue:
        """(B, 3, H, W) sRGB in [0, 1], H and W multiples of 32, to the cue at stride 4."""
        levels = [self.enter(self.norm(self.statistics(image)))]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        x = x + self.whole(x.mean(dim=(2, 3)))[:, :, None, None]
        for up in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = up(torch.cat([levels.pop(), x], dim=1))
        return Cue(x, self.sign(x))


class CueInjection(nn.Module):
    """Adds the cue's features to the encoder's levels of stride 4 and coarser; starts as the identity."""

    def __init__(self, channels: list[int], strides: list[int]) -> None:
        """Build it for the encoder's levels, fine to coarse.

        Args:
            channels: of the levels.
            strides: of the levels.
        """
        super().__init__()
        self.strides = strides
        self.project = nn.ModuleList(
            nn.Conv2d(CUE_CHANNELS, c, 1, bias=False) if s >= CUE_STRIDE else nn.Identity()
            for c, s in zip(channels, strides, strict=True)
        )
        for parameter in self.project.parameters():
            nn.init.zeros_(parameter)

    def forward(self, levels: list[Tensor], features: Tensor) -> list[Tensor]:
        """The encoder's levels, fine to coarse, each with the features added."""
        result = []
        for level, stride, layer in zip(levels, self.strides, self.project, strict=True):
            if stride < CUE_STRIDE:
                result.append(level)
                continue
            pooled = F.avg_pool2d(features, stride // CUE_STRIDE) if stride > CUE_STRIDE else features
            result.append(level + layer(pooled))
        return result
