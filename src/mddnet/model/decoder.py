"""The decoder, the same for both tasks, and the soft connection between two decoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """A convolution that keeps the size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def separable(channels: int) -> nn.Sequential:
    """A depth-wise separable 3x3 convolution that keeps size and channels, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        *conv_bn_relu(channels, channels, 1),
    )


class UpsamplingBlock(nn.Module):
    """Upsample by 2, add the encoder's skip, refine by 3x3 convolutions."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, refine: nn.Module) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.skip = nn.Conv2d(skip_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.refine = refine

    def forward(
        self, x: Float[Tensor, "B C_in H W"], skip: Float[Tensor, "B C_skip 2*H 2*W"]
    ) -> Float[Tensor, "B C_out 2*H 2*W"]:
        """The refined features at twice the size."""
        x = F.interpolate(self.reduce(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.refine(F.relu(self.norm(x + self.skip(skip))))


class Decoder(nn.Module):
    """Upsampling blocks from stride 32 to 4, and the head of one task; the network calls them one by one."""

    def __init__(self, in_channels: int, skips: Sequence[int], widths: Sequence[int], out_channels: int) -> None:
        """Channels of the features of stride 32, of skips and blocks at strides 16, 8 and 4, and of the head."""
        super().__init__()
        inputs = [in_channels, *widths[:-1]]
        coarse, middle, fine = widths
        refinements = (
            nn.Sequential(*conv_bn_relu(coarse, coarse, 3), *conv_bn_relu(coarse, coarse, 3)),
            conv_bn_relu(middle, middle, 3),
            # most pixels are in the finest block: its convolutions are separable
            nn.Sequential(separable(fine), separable(fine)),
        )
        self.blocks = nn.ModuleList(
            UpsamplingBlock(i, s, w, refine) for i, s, w, refine in zip(inputs, skips, widths, refinements, strict=True)
        )
        self.head = nn.Conv2d(widths[-1], out_channels, 1)


class SoftConnection(nn.Module):
    """Add to each decoder's features a 1x1 projection of the other's; both projections start at zero.

    The paper names the link and its position (at every upsampling block) but not its form; this form is ours.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_depth = nn.Conv2d(channels, channels, 1)
        self.to_defocus = nn.Conv2d(channels, channels, 1)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, depth: Float[Tensor, "B C H W"], defocus: Float[Tensor, "B C H W"]
    ) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B C H W"]]:
        """The connected features of depth and of defocus."""
        return depth + self.to_depth(defocus), defocus + self.to_defocus(depth)
