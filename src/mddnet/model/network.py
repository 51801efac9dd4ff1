"""MDDNet: one encoder, two decoders with a soft connection, one pass.

After He et al., "Multi-task Learning for Monocular Depth and Defocus Estimations with Real Images" (arXiv 2208.09848,
2022), whose code was never published. Where the paper is silent, the choices are ours: a convolutional encoder from
timm, an attention block at its coarsest level, the form of the soft connection, square-root coding of the CoC, an
uncertainty for each map, an output for the sign of the defocus, and a head for the camera.

Every constant that shapes the output is a field of :class:`mddnet.config.ModelConfig`, so a checkpoint determines its
output.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mddnet.config import ModelConfig
from mddnet.errors import ModelError
from mddnet.model.context import GlobalContext
from mddnet.model.decoder import Decoder, SoftConnection
from mddnet.model.encoder import Encoder
from mddnet.model.folder import CONFIG_FILE, WEIGHTS_FILE, model_folder, read_config, shipped_root

if TYPE_CHECKING:
    from jaxtyping import Float

INPUT_MULTIPLE = 32  # height and width of the input are multiples of the encoder's coarsest stride
LEAST_ROOT, LARGEST_ROOT = 0.01, 0.999
"""Limits of the square root of CoC over cap: 0.006 px and 63.9 px with a cap of 64 px. At 0 the square has no gradient,
and none above the cap."""
LOG_SIGMA_LIMIT = 5.0


class Maps(NamedTuple):
    """The output of the network: maps (B, 1, H / 4, W / 4) float32, or None without the task."""

    inv_depth: Tensor | None = None  # relative, larger is nearer; scale and shift are arbitrary
    inv_depth_log_sigma: Tensor | None = None  # log scale of its Laplace error, in mean absolute deviations of the map
    defocus_px: Tensor | None = None  # CoC diameter in pixels of the input, from 0 to ``config.defocus_cap_px``
    defocus_log_sigma: Tensor | None = None  # log scale of the Laplace error of its root, in square roots of a pixel
    sign_logit: Tensor | None = None  # log-odds that the pixel is *behind* the plane of focus
    camera: Tensor | None = None
    """(B, 4): log tangent of half the field of view along the long side, log median depth in metres, and the log scales
    of their Laplace errors."""


class MDDNet(nn.Module):
    """The network of a recipe's ``[model]`` section. ``forward`` is the same in training and in use.

    Example:
        >>> network = MDDNet(ModelConfig(pretrained=False)).eval()
        >>> network(torch.rand(1, 3, 64, 128)).defocus_px.shape
        torch.Size([1, 1, 16, 32])
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, config.pretrained)
        channels = dict(zip(self.encoder.strides, self.encoder.channels, strict=True))
        widths, width = config.decoder_channels, config.context_channels
        both = config.tasks == "both"
        self.has_sign = config.sign and config.tasks != "depth"
        self.reduction = nn.Conv2d(channels[32], width, 1)
        self.context = GlobalContext(width) if config.context else None
        skips = [channels[stride] for stride in (16, 8, 4)]
        # small blur needs pixels: the features of stride 2, each 2 x 2 of them as one, enter the defocus decoder
        fine = config.fine_channels if 2 in channels and config.tasks != "depth" else 0
        self.fine = nn.Conv2d(channels[2], fine, 2, stride=2) if fine else None
        self.depth_decoder = Decoder(width, skips, widths, 2) if config.tasks != "defocus" else None
        self.defocus_decoder = (
            Decoder(width, [*skips[:-1], skips[-1] + fine], widths, 2) if config.tasks != "depth" else None
        )
        # the sign head reads the last features of every decoder
        self.sign_head = nn.Conv2d(widths[-1] * (2 if both else 1), 1, 1) if self.has_sign else None
        linked = both and config.soft_connection
        self.links = nn.ModuleList(SoftConnection(n) for n in widths[:-1]) if linked else None
        self.camera_head = (
            nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, 4))
            if config.camera and config.tasks != "defocus"
            else None
        )

    @classmethod
    def from_pretrained(cls, reference: str | os.PathLike[str]) -> MDDNet:
        """Load the network of a trained model, in evaluation mode, float32.

        ``reference`` is a shipped name, a folder, a ``.zip`` or ``hf://owner/name``, as for ``mddnet.load``. ModelError
        if there is no such model, a file is missing or damaged, the format has another version, or the weights do not
        match the configuration.

        Example:
            >>> network = MDDNet.from_pretrained("small")
            >>> maps = network(torch.rand(1, 3, 64, 128))
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

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Maps:
        """The maps of sRGB images in [0, 1], H and W multiples of 32."""
        levels = dict(zip(self.encoder.strides, self.encoder(image), strict=True))
        x = self.reduction(levels[32])  # (B, context_channels, H / 32, W / 32)
        if self.context is not None:
            x = self.context(x)
        camera = None if self.camera_head is None else self.camera_head(x.mean(dim=(2, 3)))
        skips = [levels[16], levels[8], levels[4]]
        defocus_skips = list(skips)
        if self.fine is not None:
            defocus_skips[-1] = torch.cat([levels[4], self.fine(levels[2])], dim=1)
        depth, defocus = x, x
        for n, (skip, defocus_skip) in enumerate(zip(skips, defocus_skips, strict=True)):
            if self.depth_decoder is not None:
                depth = self.depth_decoder.blocks[n](depth, skip)
            if self.defocus_decoder is not None:
                defocus = self.defocus_decoder.blocks[n](defocus, defocus_skip)
            if self.links is not None and n < len(self.links):
                depth, defocus = self.links[n](depth, defocus)
        return self._maps(depth, defocus, camera)

    def _maps(
        self,
        depth: Float[Tensor, "B _ _ _"],
        defocus: Float[Tensor, "B _ _ _"],
        camera: Float[Tensor, "B 4"] | None,
    ) -> Maps:
        inv_depth = depth_log_sigma = defocus_px = defocus_log_sigma = sign_logit = None
        last: list[Tensor] = []
        if self.depth_decoder is not None:
            inv_depth, depth_log_sigma = self.depth_decoder.head(depth).split(1, dim=1)
            last.append(depth)
        if self.defocus_decoder is not None:
            root_code, defocus_log_sigma = self.defocus_decoder.head(defocus).split(1, dim=1)
            root = _within(root_code, LEAST_ROOT, LARGEST_ROOT)  # as a root, small blur counts as much as large blur
            defocus_px = self.config.defocus_cap_px * root * root
            last.append(defocus)
        if self.sign_head is not None:
            sign_logit = self.sign_head(torch.cat(last, dim=1))
        return Maps(inv_depth, _bounded(depth_log_sigma), defocus_px, _bounded(defocus_log_sigma), sign_logit, camera)


def _bounded(log_sigma: Float[Tensor, "B 1 H W"] | None) -> Float[Tensor, "B 1 H W"] | None:
    return None if log_sigma is None else LOG_SIGMA_LIMIT * torch.tanh(log_sigma / LOG_SIGMA_LIMIT)


def _within(values: Float[Tensor, "*size"], low: float, high: float) -> Float[Tensor, "*size"]:
    """Clamped values. A gradient that leads back between the limits passes, one that leads farther away does not.

    A sigmoid has hardly any gradient near 0: what it once takes for sharp stays so.
    """
    clamped = values.clamp(low, high)
    if not values.requires_grad:
        return clamped
    kept = values + (clamped - values).detach()

    def inward(gradient: Tensor) -> Tensor:
        return gradient.masked_fill((values < low) & (gradient > 0) | (values > high) & (gradient < 0), 0.0)

    kept.register_hook(inward)  # type: ignore[no-untyped-call]
    return kept
