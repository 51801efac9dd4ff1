"""Sign of the defocus from longitudinal chromatic aberration: the colour of blur.

No lens focuses all colours in one plane. With an ordinary achromat red and blue focus a little farther than green
(Kingslake and Johnson, "Lens Design Fundamentals", 2nd ed. 2010, section 5.5), so behind the plane of focus the red
channel of a photo is sharper, in front of it the green one. Depth was estimated from this by Garcia, Caselles and
Deriche, "Chromatic aberration and depth extraction" (ICPR 2000), and Trouve et al., "Passive depth estimation using
chromatic aberration and a depth from defocus approach" (Applied Optics 52, 2013). An encoder trained on ImageNet hardly
compares the sharpness of colour channels, so fixed filters do it here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mddnet.model.decoder import conv_bn_relu

BANDS = 4
"""Frequency bands, an octave each; blur of one pixel removes the finest."""
WINDOWS = 2
"""Window sizes in which contrast is measured: about 12 and 60 px across."""
STATISTICS = WINDOWS * (2 * BANDS + (BANDS - 1) + 1)
CHROMATIC_STRIDE = 4
CHROMATIC_CHANNELS = 32
_ENERGY_FLOOR = 1e-6
"""Variance in linear light (white = 1) below which contrast is noise."""
_DISPLAY_GAMMA = 2.2


class ChromaticOutput(NamedTuple):
    """Output of the chromatic-aberration branch, at stride 4."""

    features: Tensor  # (B, 32, H/4, W/4)
    sign_logit: Tensor  # (B, 1, H/4, W/4), log-odds of being behind the plane of focus


class ChromaticStatistics(nn.Module):
    """Contrast per colour channel, band and neighbourhood, compared between channels, without learned weights."""

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
        self.kernel: Tensor
        self.register_buffer("kernel", (row[:, None] * row[None, :]).expand(3, 1, 5, 5).contiguous(), persistent=False)

    def _smooth(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), self.kernel, groups=3)

    def forward(self, image: Tensor) -> Tensor:
        """Statistics of sRGB images (B, 3, H, W) in [0, 1], H and W multiples of 32.

        Returns:
            (B, STATISTICS, H/4, W/4): per window, log contrast of red over green and of blue over green in each band
            (fine to coarse), then of green in each band over the next coarser one, then of green in the coarsest band.
            All but the last are independent of exposure.
        """
        # linear light, where blur is linear; for a ratio of contrasts a power approximates the sRGB curve well enough
        x = image.clamp_min(1e-4) ** _DISPLAY_GAMMA
        energies = []
        for band in range(BANDS):
            smooth = self._smooth(x)
            energy = (x - smooth) ** 2
            stride = 2**band
            if stride < CHROMATIC_STRIDE:
                energy = F.avg_pool2d(energy, CHROMATIC_STRIDE // stride)
            elif stride > CHROMATIC_STRIDE:
                factor = float(stride // CHROMATIC_STRIDE)
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


class ChromaticBranch(nn.Module):
    """Features and a sign logit from the statistics, by a small U-Net that does not see the image itself.

    It needs wide context: the colour error of the lens is a property of the whole photo, and the sign is constant over
    large areas. Without the image it cannot overfit to scenes.
    """

    def __init__(self) -> None:
        super().__init__()
        width = CHROMATIC_CHANNELS
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

    def forward(self, image: Tensor) -> ChromaticOutput:
        """(B, 3, H, W) sRGB in [0, 1], H and W multiples of 32, to features and sign at stride 4."""
        levels = [self.enter(self.norm(self.statistics(image)))]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        x = x + self.whole(x.mean(dim=(2, 3)))[:, :, None, None]
        for up in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = up(torch.cat([levels.pop(), x], dim=1))
        return ChromaticOutput(x, self.sign(x))


class ChromaticInjection(nn.Module):
    """Adds the branch's features to the encoder's levels of stride 4 and coarser; starts as the identity."""

    def __init__(self, channels: list[int], strides: list[int]) -> None:
        """Build it for the encoder's levels, fine to coarse."""
        super().__init__()
        self.strides = strides
        self.project = nn.ModuleList(
            nn.Conv2d(CHROMATIC_CHANNELS, c, 1, bias=False) if s >= CHROMATIC_STRIDE else nn.Identity()
            for c, s in zip(channels, strides, strict=True)
        )
        for parameter in self.project.parameters():
            nn.init.zeros_(parameter)

    def forward(self, levels: list[Tensor], features: Tensor) -> list[Tensor]:
        """The encoder's levels, fine to coarse, each with the features added."""
        result = []
        for level, stride, layer in zip(levels, self.strides, self.project, strict=True):
            if stride < CHROMATIC_STRIDE:
                result.append(level)
                continue
            pooled = F.avg_pool2d(features, stride // CHROMATIC_STRIDE) if stride > CHROMATIC_STRIDE else features
            result.append(level + layer(pooled))
        return result
