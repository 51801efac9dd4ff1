"""Baselines: other methods, classical and learned, that are measured on the same photos as the model.

One file each, with a class that loads and infers (:class:`mddnet.evaluate.methods.Method`). A file with ``BASELINES``,
what makes each method by its name, is all that a new one needs.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mddnet.errors import ModelError
from mddnet.evaluate.baselines.onnx_model import OnnxModel
from mddnet.evaluate.baselines.transformers_model import (
    KNOWN_WEIGHTS,
    TransformersModel,
    is_transformers_model,
    looks_like_hub_name,
    weights_hint,
)
from mddnet.evaluate.methods import Method, PredictorMethod

BASELINES: dict[str, Callable[[], Method]] = {}
"""Baselines that need no file, by name."""
for _module in pkgutil.iter_modules(__path__):
    BASELINES |= getattr(import_module(f"{__name__}.{_module.name}"), "BASELINES", {})


def find_baseline(name: str, threads: int | None = None) -> Method:
    """A classical baseline by its name, a learned one by its file or folder, or another model of mddnet by its folder.

    Args:
        name: of :data:`BASELINES`; ``MODEL.onnx`` with its description ``MODEL.toml`` beside it; the folder of a
            model of transformers, or its name in the local cache of the hub; or a model folder of mddnet.
        threads: processor cores that a network uses at most.

    Raises:
        ModelError: if there is no such baseline, or a package or file that it needs is missing.
    """
    if name in BASELINES:
        return BASELINES[name]()
    path = Path(name)
    if path.suffix.lower() == ".onnx":
        return OnnxModel(path, threads)
    if path.is_dir() and is_transformers_model(path):
        return TransformersModel(name)
    if path.is_dir():
        from mddnet.predict.predictor import load

        model = load(path, threads)
        # two models of one name may be compared: their folders tell them apart
        return PredictorMethod(model, f"{model.name} {model.version} ({path.resolve().name})")
    if name in KNOWN_WEIGHTS:
        raise ModelError(weights_hint(name))
    if looks_like_hub_name(name):
        return TransformersModel(name)
    raise ModelError(
        f"{name}: no such baseline; expected one of {', '.join(BASELINES)}, the path of an ONNX file, the folder "
        "of a model of transformers, or a model folder"
    )
