"""MDDNet: one encoder, two decoders with a soft connection, three maps.

After He et al., "Multi-task Learning for Monocular Depth and Defocus Estimations with Real Images" (arXiv 2208.09848,
2022), whose code was never published. Where the paper is silent, the choices are ours: a convolutional encoder from
timm, an attention block at its coarsest level, the form of the soft connection, square-root coding of the CoC, an
output for the sign of the defocus with a branch for chromatic aberration (:mod:`mddnet.model.chromatic_aberration`),
and depth computed from the signed CoC by the lens law.

Every constant that shapes the output is a field of :class:`mddnet.config.ModelConfig`, so a checkpoint determines its
output.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mddnet.config import ModelConfig
from mddnet.errors import ModelError
from mddnet.model.chromatic_aberration import CHROMATIC_STRIDE, ChromaticBranch, ChromaticInjection
from mddnet.model.context import GlobalContext
from mddnet.model.decoder import Decoder, SoftConnection
from mddnet.model.defocus_curve import DefocusCurve
from mddnet.model.encoder import Encoder
from mddnet.model.folder import CONFIG_FILE, WEIGHTS_FILE, model_folder, read_config, shipped_root

INPUT_MULTIPLE = 64
"""Height and width of the input are multiples of this, so that half of it is a multiple of the encoder's stride."""


class RawMaps(NamedTuple):
    """Output of one pass before the defocus curve and the lens law, each (B, 1, H, W), or None without the task."""

    depth_logit: Tensor | None  # logit of inverse depth from the depth decoder alone
    defocus_px: Tensor | None  # CoC diameter in pixels of the input, from 0 to config.defocus_cap_px
    sign_logit: Tensor | None  # log-odds that the pixel is *behind* the plane of focus
    chromatic_sign_logit: Tensor | None  # the same from chromatic aberration alone


class Maps(NamedTuple):
    """The maps of the network, each (B, 1, H, W) float32, or None without the task.

    Attributes:
        inv_depth: relative inverse depth in [0, 1], larger is nearer; scale and shift are arbitrary.
        defocus_px: CoC diameter in pixels of the input tensor, from 0 to ``config.largest_defocus_px``.
        sign_logit: log-odds that the pixel is *behind* the plane of focus.
        chromatic_sign_logit: the same from chromatic aberration alone, a part of ``sign_logit``.
    """

    inv_depth: Tensor | None
    defocus_px: Tensor | None
    sign_logit: Tensor | None
    chromatic_sign_logit: Tensor | None


class MDDNet(nn.Module):
    """The network of a recipe's ``[model]`` section.

    ``forward`` is one pass, the same in training and in evaluation. :meth:`training_maps` turns it into the maps that
    the losses compare; :meth:`infer` is the whole inference: passes at one or two scales, then the lens law.

    Example:
        >>> network = MDDNet(ModelConfig(pretrained=False)).eval()
        >>> network.infer(torch.rand(1, 3, 64, 128)).defocus_px.shape
        torch.Size([1, 1, 64, 128])
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, config.pretrained)
        channels, strides = self.encoder.channels, self.encoder.strides
        self.stem_stride = strides[0]
        # an encoder without a level of stride 2 does not use the width of the finest one
        widths = list(config.decoder_channels)[: len(channels) - 1]
        if len(widths) < len(channels) - 1:
            raise ModelError(
                f"model.decoder_channels has {len(widths)} entries; encoder {config.encoder!r} has {len(channels)} "
                f"levels (strides {strides}) and needs {len(channels) - 1}"
            )
        width = config.context_channels
        both = config.tasks == "both"
        self.has_sign = config.sign and config.tasks != "depth"
        self.has_law = config.law_path and both and self.has_sign
        self.reduction = nn.Conv2d(channels[-1], width, 1)
        self.context = GlobalContext(width) if config.context else None
        self.depth_decoder = Decoder(channels, widths, 1, width) if config.tasks != "defocus" else None
        self.defocus_decoder = Decoder(channels, widths, 1, width) if config.tasks != "depth" else None
        self.defocus_curve = DefocusCurve(config.curve_knots_px)
        # the sign head reads the last features of every decoder
        self.sign_head = nn.Conv2d(widths[-1] * (2 if both else 1), 1, 3, padding=1) if self.has_sign else None
        # the names of these two are fixed by published weights
        self.cue = ChromaticBranch() if config.chromatic_cue else None
        self.cue_injection = ChromaticInjection(channels, strides) if config.chromatic_cue else None
        linked = both and config.soft_connection
        self.links = nn.ModuleList(SoftConnection(width) for width in widths) if linked else None

    @classmethod
    def from_pretrained(cls, reference: str | os.PathLike[str]) -> MDDNet:
        """Load the network of a trained model, in evaluation mode, float32.

        Args:
            reference: a shipped name, a folder, a ``.zip`` or ``hf://owner/name``, as for ``mddnet.load``.

        Raises:
            ModelError: if there is no such model, a file is missing or damaged, the format has another version, or the
                weights do not match the configuration.

        Example:
            >>> network = MDDNet.from_pretrained("small")
            >>> maps = network.infer(torch.rand(1, 3, 64, 128))
        """
        folder = model_folder(reference, weights=True)
        config = read_config(folder)
        path = folder / WEIGHTS_FILE
        if not path.is_file():
            shipped = folder.parent == shipped_root()
            fix = "install mddnet from a checkout" if shipped else "use the folder that mddnet train wrote"
            raise ModelError(f"{path}: no such file, and training and export need {WEIGHTS_FILE}: {fix}")
        try:
            network_config = ModelConfig.model_validate({**config["network"], "pretrained": False})
            tensors = load_file(path)
        except (OSError, ValueError, KeyError, TypeError, ValidationError, SafetensorError) as error:
            raise ModelError(f"{folder}: not a readable model ({error}); expected what mddnet train writes") from error
        network = cls(network_config)
        state = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
        try:
            network.load_state_dict(state, strict=True)
        except RuntimeError as error:
            raise ModelError(f"{path}: weights do not fit {CONFIG_FILE} ({error})") from error
        return network.eval()

    def forward(self, image: Tensor) -> RawMaps:
        """One pass over sRGB images (B, 3, H, W) in [0, 1], H and W multiples of 32."""
        levels = self.encoder(image)
        chromatic = None
        if self.cue is not None and self.cue_injection is not None:
            chromatic = self.cue(image)
            levels = self.cue_injection(levels, chromatic.features)
        *skips, coarsest = levels
        x = self.reduction(coarsest)  # (B, context_channels, H / 32, W / 32)
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

        depth_logit = defocus_px = sign_logit = chromatic_sign_logit = None
        if self.depth_decoder is not None and depth is not None:
            depth_logit = _enlarged(self.depth_decoder.head(depth), self.stem_stride)
        if self.defocus_decoder is not None and defocus is not None:
            # square-root coding spreads the range of the sigmoid evenly over small and large blur
            root = torch.sigmoid(_enlarged(self.defocus_decoder.head(defocus), self.stem_stride))
            defocus_px = self.config.defocus_cap_px * root * root
        if self.sign_head is not None:
            last = [features for features in (depth, defocus) if features is not None]
            sign_logit = _enlarged(self.sign_head(torch.cat(last, dim=1)), self.stem_stride)
            if chromatic is not None:
                # No gradient from the sum: the branch is trained by a separate loss, so its logit uses colour alone.
                chromatic_sign_logit = _enlarged(chromatic.sign_logit, CHROMATIC_STRIDE)
                limit = self.config.context_sign_limit
                bounded = limit * torch.tanh(sign_logit / limit)
                sign_logit = bounded + self.config.cue_sign_gain * chromatic_sign_logit.detach()
        return RawMaps(depth_logit, defocus_px, sign_logit, chromatic_sign_logit)

    def multi_scale(self, image: Tensor) -> RawMaps:
        """A pass at full size, merged with one at half the size if ``config.half_size_pass``.

        At half the size blur is half as large and the receptive field is twice as wide.

        Args:
            image: (B, 3, H, W) sRGB in [0, 1], H and W multiples of 64 (of 32 for one pass).
        """
        whole = self(image)
        if not self.config.half_size_pass:
            return whole
        return self._merged(whole, self(F.avg_pool2d(image, 2)))

    def training_maps(self, raw: RawMaps) -> Maps:
        """The maps that the losses compare: inverse depth is the sigmoid of its logit.

        It has the same order as the linear map of :meth:`infer`; its gradients are as large for small blur as for
        large blur.
        """
        depth_logit, defocus_px = self._apply_law(raw)
        inv_depth = None if depth_logit is None else torch.sigmoid(depth_logit)
        return Maps(inv_depth, defocus_px, raw.sign_logit, raw.chromatic_sign_logit)

    def infer(self, image: Tensor) -> Maps:
        """The maps of sRGB images: all passes, the defocus curve and the lens law.

        With the law, inverse depth is linear in the signed CoC.

        Args:
            image: (B, 3, H, W) in [0, 1], H and W multiples of 64 (of 32 without ``config.half_size_pass``).
        """
        raw = self.multi_scale(image)
        if not self.has_law:
            return self.training_maps(raw)
        depth_logit, defocus_px = self._apply_law(raw)
        assert depth_logit is not None
        largest = self.config.largest_defocus_px / self.config.law_unit_px + self.config.residual_limit
        return Maps(0.5 + 0.5 * depth_logit / largest, defocus_px, raw.sign_logit, raw.chromatic_sign_logit)

    def _apply_law(self, raw: RawMaps) -> tuple[Tensor | None, Tensor | None]:
        """Logit of inverse depth with the lens law, and the CoC diameter through the defocus curve.

        u = u_focus - signed CoC / kappa. Where the sign is uncertain, tanh makes the term vanish; at odds of 2:1 its
        factor is already 0.6 (the expectation, 0.33, measured worse). The depth decoder adds a bounded residual. The
        gradient does not reach the CoC, so that depth with a wrong sign does not change the CoC.
        """
        config, depth_logit, defocus_px = self.config, raw.depth_logit, raw.defocus_px
        if defocus_px is not None:
            defocus_px = self.defocus_curve(defocus_px).clamp(0.0, config.largest_defocus_px)
        if self.has_law and depth_logit is not None and defocus_px is not None and raw.sign_logit is not None:
            expected_px = torch.tanh(raw.sign_logit) * defocus_px.detach()
            residual = config.residual_limit * torch.tanh(config.residual_slope * depth_logit / config.residual_limit)
            depth_logit = residual - expected_px / config.law_unit_px
        return depth_logit, defocus_px

    def _merged(self, whole: RawMaps, half: RawMaps) -> RawMaps:
        """Weighted mean of two passes; where the CoC is large, it is that of the pass at half the size."""
        config = self.config

        def between(x: Tensor, other: Tensor, weight: float | Tensor) -> Tensor:
            return x + weight * (other - x)  # torch.lerp, which coremltools does not support

        def mean(x: Tensor | None, other: Tensor | None) -> Tensor | None:
            return None if x is None or other is None else between(x, _enlarged(other, 2), config.half_size_weight)

        defocus_px = None
        if whole.defocus_px is not None and half.defocus_px is not None:
            coarse_px = 2.0 * _enlarged(half.defocus_px, 2)
            low, high = config.half_size_coc_px
            large = ((coarse_px - low) / (high - low)).clamp(0.0, 1.0)
            least = config.half_size_coc_weight
            defocus_px = between(whole.defocus_px, coarse_px, least + (1.0 - least) * large)
        return RawMaps(
            mean(whole.depth_logit, half.depth_logit),
            defocus_px,
            mean(whole.sign_logit, half.sign_logit),
            mean(whole.chromatic_sign_logit, half.chromatic_sign_logit),
        )


def _enlarged(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
