"""The shared encoder: a timm feature pyramid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import timm
import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from mddnet.errors import ModelError
from mddnet.model.pretrained import pretrained_state

if TYPE_CHECKING:
    from jaxtyping import Float


class EvenSamePadConv2d(nn.Conv2d):
    """TensorFlow's "SAME" convolution for inputs of even size: fixed padding, which exports as plain Pad + Conv.

    For an even size and stride 2, SAME pads k - 2 pixels in total, the odd one at the end.
    """

    def forward(self, x: Float[Tensor, "B C_in H W"]) -> Float[Tensor, "B C_out H_out W_out"]:
        kernel_h, kernel_w = self.kernel_size
        stride_h, stride_w = self.stride
        pad_h, pad_w = max(kernel_h - stride_h, 0), max(kernel_w - stride_w, 0)
        x = F.pad(x, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _with_fixed_padding(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, Conv2dSame):
            fixed = EvenSamePadConv2d(
                child.in_channels,
                child.out_channels,
                child.kernel_size,
                child.stride,
                groups=child.groups,
                bias=child.bias is not None,
            )
            fixed.load_state_dict(child.state_dict())
            setattr(module, name, fixed)
        else:
            _with_fixed_padding(child)


class Encoder(nn.Module):
    """Feature pyramid of a timm backbone; it normalises its input.

    The statistics of batch normalisation stay those of pretraining, because batches here are small. ``channels`` and
    ``strides`` are those of each level, fine to coarse.
    """

    def __init__(self, name: str, pretrained: bool = True) -> None:
        """Build the encoder of a timm name; ``pretrained`` starts from ImageNet weights.

        ModelError for an unknown name, or an encoder without such a feature pyramid.
        """
        super().__init__()
        try:
            self.body = timm.create_model(name, pretrained=False, features_only=True)
        except Exception as error:  # timm raises RuntimeError, AttributeError and others for unsuitable names
            near = ", ".join(timm.list_models(f"*{name[:6]}*")[:5])
            raise ModelError(f"encoder {name!r}: {error}; expected a timm feature pyramid such as {near}") from error
        if pretrained:
            state = pretrained_state(name)
            wanted = self.body.state_dict()
            missing = [key for key in wanted if key not in state]
            if missing:
                raise ModelError(f"encoder {name!r}: pretrained weights lack {missing[0]} and {len(missing) - 1} more")
            self.body.load_state_dict({key: state[key] for key in wanted}, strict=True)
        _with_fixed_padding(self.body)
        self.mean: Tensor
        self.std: Tensor
        self.channels: list[int] = list(self.body.feature_info.channels())
        self.strides: list[int] = list(self.body.feature_info.reduction())
        if self.strides not in ([2, 4, 8, 16, 32], [4, 8, 16, 32]):
            raise ModelError(f"encoder {name!r}: features of strides {self.strides}; expected 2 (or 4), doubling to 32")
        config = self.body.default_cfg if hasattr(self.body, "default_cfg") else timm.get_pretrained_cfg(name).to_dict()
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Encoder:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """Features of each level, fine to coarse, of an sRGB image in [0, 1]."""
        features: list[Tensor] = self.body((image - self.mean) / self.std)
        return features
