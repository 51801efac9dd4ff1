"""The decoder, one class for both tasks: channel reduction, upsampling blocks with the encoder's skips, a head."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mddnet.model.blocks import conv_bn_relu


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
    """Reduction, upsampling blocks and head of one task.

    The blocks are called one by one by the network, which links two decoders between them.
    """

    def __init__(
        self, encoder_channels: Sequence[int], widths: Sequence[int], out_channels: int, context_channels: int
    ) -> None:
        """Build the decoder.

        Args:
            encoder_channels: channels of the encoder's levels, fine to coarse.
            widths: channels of the upsampling blocks, coarse to fine; one block per encoder level but the coarsest.
            out_channels: channels of the head's output.
            context_channels: channels of the features that enter (after the shared channel reduction).
        """
        super().__init__()
        skips = list(encoder_channels[:-1])[::-1]
        inputs = [context_channels, *widths[:-1]]
        last = len(widths) - 1
        self.blocks = nn.ModuleList(
            # the finest block holds most of the arithmetic: one convolution there, two elsewhere
            UpsamplingBlock(i, s, o, convolutions=1 if n == last else 2)
            for n, (i, s, o) in enumerate(zip(inputs, skips, widths, strict=True))
        )
        self.reduce = conv_bn_relu(context_channels, context_channels, 1)
        self.head = nn.Conv2d(widths[-1], out_channels, 3, padding=1)
