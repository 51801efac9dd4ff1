"""Baselines: other methods, classical and learned, that are measured on the same photos as the model.

A new baseline is one file with a function (:class:`mddnet.evaluate.methods.FunctionMethod`) or a class that infers
(:class:`mddnet.evaluate.methods.Method`), and with ``BASELINES``, the constructor of each method by its name.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mddnet.errors import ModelError
from mddnet.evaluate.baselines.onnx_model import OnnxModel
from mddnet.evaluate.baselines.transformers_model import TransformersModel, is_hub_name, is_transformers_model
from mddnet.evaluate.methods import Method, PredictorMethod

BASELINES: dict[str, Callable[[], Method]] = {}
"""Baselines that need no file, by name."""
for _module in pkgutil.iter_modules(__path__):
    BASELINES |= getattr(import_module(f"{__name__}.{_module.name}"), "BASELINES", {})


def find_baseline(name: str, threads: int | None = None, download: bool = False) -> Method:
    """Load a classical baseline by its name in :data:`BASELINES`, or a learned one by its path.

    A path is ``MODEL.onnx`` with a description ``MODEL.toml`` in the same folder; the folder of a transformers model,
    or its name on the hub; or a model folder of mddnet. A network uses at most ``threads`` cores. Files of the hub are
    those of its local cache, unless ``download`` is set.
    ModelError if there is no such baseline, or a required package or file is missing.
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
        # models with one name may be compared, so the folder is part of the name
        return PredictorMethod(model, f"{model.name} {model.version} ({path.resolve().name})")
    if is_hub_name(name):
        return TransformersModel(name, download)
    raise ModelError(
        f"{name}: no such baseline; expected one of {', '.join(BASELINES)}, the path of an ONNX file, the folder "
        "of a transformers model (get one with `hf download NAME --local-dir FOLDER`), or a model folder of mddnet"
    )
