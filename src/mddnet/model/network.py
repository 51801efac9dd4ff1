"""MDDNet: one encoder, two decoders with a soft connection, three maps.

After He et al., "Multi-task Learning for Monocular Depth and Defocus Estimations with Real Images"
(arXiv 2208.09848, 2022), whose code was never published; where the paper is silent the choices are ours: a
convolutional encoder from timm, one attention block at its coarsest level, the form of the soft connection, a
square-root coding of the CoC, an output for the sign of the defocus that also weighs the colour of the blur
(``chromatic_cue``), and a path by which the signed CoC enters the depth as the lens law says (``law_path``).
"""

from __future__ import annotations

import os
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mddnet.config import ModelConfig
from mddnet.errors import ModelError
from mddnet.model.chromatic_cue import CUE_STRIDE, ChromaticCue, CueInjection
from mddnet.model.context import GlobalContext
from mddnet.model.decoder import Decoder
from mddnet.model.defocus_curve import DefocusCurve
from mddnet.model.encoder import Encoder
from mddnet.model.layout import LayoutFeatures, LayoutInjection
from mddnet.model.soft_connection import SoftConnection

INPUT_MULTIPLE = 64
"""Height and width of the input tensor are multiples of this, so that half of them are of the encoder's stride."""

CONTEXT_CHANNELS = 192
LAW_UNIT_PX = 4.0
"""Signed CoC that moves the logit of inverse depth by 1. Not learned: no loss minds the scale of inverse depth, so a
learned one only trades the law for the decoder's bounded part, which knows the training scenes by heart."""
RESIDUAL_LIMIT = 0.125
"""Largest logit that the depth decoder adds to the law's: where the blur is clear it decides, elsewhere the decoder."""
RESIDUAL_SLOPE = 0.25
"""What the decoder's logit counts while it is small."""
CONTEXT_SIGN_LIMIT = 3.0
"""Largest logit that the decoders add to the chromatic cue's: they know the training scenes by heart, and are sure."""
CUE_SIGN_GAIN = 1.5
"""What the chromatic cue's logit counts in the sum: it never saw the picture, and is the more modest of the two."""


HALF_SIZE_SHARE = 0.5
"""What the look at the picture at half size counts in the log-odds."""
HALF_SIZE_COC_SHARE = 0.3
"""What it counts in the CoC."""
LARGE_COC_PX = (12.0, 24.0)
"""Between these CoC diameters, as the half-size look says them, its share in the CoC rises to 1: blur as large as this
is half as large there, and well within what training shows."""


class _Look(NamedTuple):
    """What one pass says, before the lens law ties it together; as in :class:`Maps`, but for the depth.

    Attributes:
        depth_logit: what the depth decoder says.
        defocus_px: CoC diameter without the curve.
        sign_logit: log-odds of lying behind the plane of focus.
        cue_sign_logit: the same by the colour of the blur alone.
    """

    depth_logit: Tensor | None
    defocus_px: Tensor | None
    sign_logit: Tensor | None
    cue_sign_logit: Tensor | None


class Maps(NamedTuple):
    """Raw output of the network, each (B, 1, H, W) float32, or None where the recipe leaves the task out.

    Attributes:
        inv_depth: relative inverse depth in [0, 1], larger is nearer; scale and shift mean nothing.
        defocus_px: CoC diameter in pixels of the input tensor, from 0 to ``config.largest_defocus_px``.
        sign_logit: log-odds that the pixel lies *behind* the plane of focus.
        cue_sign_logit: the same by the colour of the blur alone: a part of ``sign_logit``, with a loss of its own.
    """

    inv_depth: Tensor | None
    defocus_px: Tensor | None
    sign_logit: Tensor | None
    cue_sign_logit: Tensor | None


class MDDNet(nn.Module):
    """The network of a recipe's ``[model]`` section.

    Example:
        >>> from mddnet.config import ModelConfig
        >>> network = MDDNet(ModelConfig(pretrained=False)).eval()
        >>> network(torch.rand(1, 3, 64, 96)).defocus_px.shape
        torch.Size([1, 1, 64, 96])
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, config.pretrained)
        channels = self.encoder.channels
        self.stem_stride = self.encoder.strides[0]
        # an encoder whose finest level has stride 4 has no use for the width of a finer one
        widths = list(config.decoder_channels)[: len(channels) - 1]
        if len(widths) < len(channels) - 1:
            raise ModelError(
                f"model.decoder_channels has {len(widths)} entries; encoder {config.encoder!r} has {len(channels)} "
                f"levels (strides {self.encoder.strides}) and needs {len(channels) - 1}"
            )
        self.reduction = nn.Conv2d(channels[-1], CONTEXT_CHANNELS, 1)
        self.context = GlobalContext(CONTEXT_CHANNELS) if config.context else None
        both = config.tasks == "both"
        self.depth_decoder = Decoder(channels, widths, 1, CONTEXT_CHANNELS) if both or config.tasks == "depth" else None
        self.has_sign = config.sign and config.tasks != "depth"
        self.defocus_decoder = (
            Decoder(channels, widths, 1, CONTEXT_CHANNELS) if both or config.tasks == "defocus" else None
        )
        self.defocus_curve = DefocusCurve()
        # the sign is a matter of both tasks: it is read from the last features of every decoder there is
        self.sign_head = nn.Conv2d(widths[-1] * (2 if both else 1), 1, 3, padding=1) if self.has_sign else None
        self.cue = ChromaticCue() if config.chromatic_cue else None
        self.cue_injection = CueInjection(channels, self.encoder.strides) if config.chromatic_cue else None
        self.layout = LayoutFeatures(config.pretrained) if config.layout else None
        self.layout_injection = LayoutInjection(channels, self.encoder.strides) if config.layout else None
        # the lens law as a path of the network: inverse depth falls as the signed CoC grows
        self.has_law = config.law_path and both and self.has_sign
        self.links = (
            nn.ModuleList(SoftConnection(width) for width in widths) if both and config.soft_connection else None
        )

    @classmethod
    def from_pretrained(cls, reference: str | os.PathLike[str]) -> MDDNet:
        """The network of a trained model, in evaluation mode, float32.

        Args:
            reference: a shipped name, a folder, a ``.zip`` or ``hf://owner/name``, as for ``mddnet.load``.

        Raises:
            ModelError: if there is no such model, or it lacks weights to go on from (``model.safetensors``).

        Example:
            >>> network = MDDNet.from_pretrained("small")
            >>> maps = network(torch.rand(1, 3, 64, 128))
            >>> maps.inv_depth.shape, maps.defocus_px.shape
            (torch.Size([1, 1, 64, 128]), torch.Size([1, 1, 64, 128]))
        """
        from mddnet.model.checkpoint import load_network  # which makes networks of this class

        return load_network(reference)

    def forward(self, image: Tensor) -> Maps:
        """Estimate the maps of sRGB images.

        In evaluation mode the network also looks at the picture at half its size and takes both together: there, blur
        is half as large and the surroundings of a pixel are twice as wide.

        Args:
            image: (B, 3, H, W) in [0, 1], H and W multiples of 64 (while training of 32).
        """
        look = self._look(image)
        if not self.training and self.config.half_size_look:
            look = _together(look, self._look(F.avg_pool2d(image, 2)))
        return self._maps(look)

    def _look(self, image: Tensor) -> _Look:
        """One pass over images (B, 3, H, W), H and W multiples of 32."""
        levels = self.encoder(image)
        cue = None
        if self.cue is not None and self.cue_injection is not None:
            cue = self.cue(image)
            levels = self.cue_injection(levels, cue.features)
        if self.layout is not None and self.layout_injection is not None:
            levels = self.layout_injection(levels, self.layout(image))
        *skips, coarsest = levels
        x = self.reduction(coarsest)
        if self.context is not None:
            x = self.context(x)
        depth = self.depth_decoder.reduce(x) if self.depth_decoder is not None else None
        defocus = self.defocus_decoder.reduce(x) if self.defocus_decoder is not None else None
        for n, skip in enumerate(reversed(skips)):
            if self.depth_decoder is not None:
                depth = self.depth_decoder.blocks[n](depth, skip)
            if self.defocus_decoder is not None:
                defocus = self.defocus_decoder.blocks[n](defocus, skip)
            if self.links is not None:
                depth, defocus = self.links[n](depth, defocus)

        depth_logit = defocus_px = sign_logit = cue_sign_logit = None
        if self.depth_decoder is not None and depth is not None:
            depth_logit = self._to_input_size(self.depth_decoder.head(depth))
        if self.defocus_decoder is not None and defocus is not None:
            # square-root coding: the sigmoid's range is spent evenly over small and large blur
            root = torch.sigmoid(self._to_input_size(self.defocus_decoder.head(defocus)))
            defocus_px = self.config.defocus_cap_px * root * root
        if self.sign_head is not None:
            last = [features for features in (depth, defocus) if features is not None]
            sign_logit = self._to_input_size(self.sign_head(torch.cat(last, dim=1)))
            if cue is not None:
                # The cue learns from its own loss only, so that it says what the colours say and nothing else; the
                # decoders add what they know of the scene.
                cue_sign_logit = F.interpolate(
                    cue.sign_logit, scale_factor=float(CUE_STRIDE), mode="bilinear", align_corners=False
                )
                context = CONTEXT_SIGN_LIMIT * torch.tanh(sign_logit / CONTEXT_SIGN_LIMIT)
                sign_logit = context + CUE_SIGN_GAIN * cue_sign_logit.detach()
        return _Look(depth_logit, defocus_px, sign_logit, cue_sign_logit)

    def _maps(self, look: _Look) -> Maps:
        """The maps of a look, depth by the lens law."""
        depth_logit, defocus_px, sign_logit, cue_sign_logit = look
        if defocus_px is not None:
            defocus_px = self.defocus_curve(defocus_px).clamp(0.0, self.config.largest_defocus_px)
        if self.has_law and depth_logit is not None and defocus_px is not None and sign_logit is not None:
            # u = u_focus - signed CoC / kappa; where the sign is in doubt, tanh makes the term vanish: with odds of 2:1
            # it is already worth .6 (the expectation, .33, was measured to be too timid). The size is
            # taken as measured: a depth that is wrong because of its sign must not bend the size of the blur.
            expected_px = torch.tanh(sign_logit) * defocus_px.detach()
            depth_logit = RESIDUAL_LIMIT * torch.tanh(RESIDUAL_SLOPE * depth_logit / RESIDUAL_LIMIT)
            depth_logit = depth_logit - expected_px / LAW_UNIT_PX
        inv_depth = None
        if depth_logit is not None:
            inv_depth = torch.sigmoid(depth_logit)
            if self.has_law and not self.training:
                # The law is linear, and so is what a user gets. The losses are better off with the sigmoid, which has
                # the same order: their gradients are then as large for small blur as for large.
                largest_logit = self.config.largest_defocus_px / LAW_UNIT_PX + RESIDUAL_LIMIT
                inv_depth = 0.5 + 0.5 * depth_logit / largest_logit
        return Maps(inv_depth, defocus_px, sign_logit, cue_sign_logit)

    def _to_input_size(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=float(self.stem_stride), mode="bilinear", align_corners=False)


def _together(look: _Look, half: _Look) -> _Look:
    """A look at a picture and one at the same picture at half its size, in pixels of the first.

    A weighted mean of what both say; where the CoC is large the half-size look alone says it.
    """

    def enlarged(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)

    def between(x: Tensor, other: Tensor, share: float | Tensor) -> Tensor:
        return x + share * (other - x)  # torch.lerp, which coremltools does not know

    def mean(x: Tensor | None, other: Tensor | None) -> Tensor | None:
        return None if x is None or other is None else between(x, enlarged(other), HALF_SIZE_SHARE)

    defocus_px = None
    if look.defocus_px is not None and half.defocus_px is not None:
        coarse_px = 2.0 * enlarged(half.defocus_px)
        low, high = LARGE_COC_PX
        large = ((coarse_px - low) / (high - low)).clamp(0.0, 1.0)
        defocus_px = between(look.defocus_px, coarse_px, HALF_SIZE_COC_SHARE + (1.0 - HALF_SIZE_COC_SHARE) * large)
    return _Look(
        mean(look.depth_logit, half.depth_logit),
        defocus_px,
        mean(look.sign_logit, half.sign_logit),
        mean(look.cue_sign_logit, half.cue_sign_logit),
    )
