"""The decoder, the same for both tasks, and the soft connection between two decoders."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (over the stride), batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class UpsamplingBlock(nn.Module):
    """Upsample by 2, add the encoder's skip, refine by 3x3 convolutions."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, convolutions: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.skip = nn.Conv2d(skip_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.refine = nn.Sequential(*[conv_bn_relu(out_channels, out_channels, 3) for _ in range(convolutions)])

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, C_in, H, W) and a skip (B, C_skip, 2H, 2W) to (B, C_out, 2H, 2W)."""
        x = F.interpolate(self.reduce(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.refine(F.relu(self.norm(x + self.skip(skip))))


class Decoder(nn.Module):
    """Channel reduction, upsampling blocks and head of one task; the network calls the blocks one by one."""

    def __init__(
        self, encoder_channels: Sequence[int], widths: Sequence[int], out_channels: int, context_channels: int
    ) -> None:
        """Build the decoder.

        Args:
            encoder_channels: channels of the encoder's levels, fine to coarse.
            widths: channels of the upsampling blocks, coarse to fine; one per encoder level except the coarsest.
            out_channels: channels of the head's output.
            context_channels: channels of the input, after the shared channel reduction.
        """
        super().__init__()
        skips = list(encoder_channels[:-1])[::-1]
        inputs = [context_channels, *widths[:-1]]
        last = len(widths) - 1
        self.blocks = nn.ModuleList(
            # most of the computation is in the finest block: one convolution there, two elsewhere
            UpsamplingBlock(i, s, o, convolutions=1 if n == last else 2)
            for n, (i, s, o) in enumerate(zip(inputs, skips, widths, strict=True))
        )
        self.reduce = conv_bn_relu(context_channels, context_channels, 1)
        self.head = nn.Conv2d(widths[-1], out_channels, 3, padding=1)


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

    def forward(self, depth: Tensor, defocus: Tensor) -> tuple[Tensor, Tensor]:
        """Two (B, C, H, W) features to two of the same shape: depth, defocus."""
        return depth + self.to_depth(defocus), defocus + self.to_defocus(depth)
