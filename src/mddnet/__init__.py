"""Depth and defocus from one photo with a finite depth of field, connected by the lens law.

>>> import mddnet
>>> model = mddnet.load()                            # doctest: +SKIP
>>> prediction = model.predict("cup.jpg")            # doctest: +SKIP
>>> prediction.save("out/")                          # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mddnet.version import __version__

if TYPE_CHECKING:
    from mddnet.errors import MddnetError
    from mddnet.focus_stack import stack
    from mddnet.focus_stack.result import StackResult
    from mddnet.photo.reader import read_photo
    from mddnet.predict.depth_prior import DepthPrior
    from mddnet.predict.prediction import Prediction
    from mddnet.predict.predictor import Model, load
    from mddnet.types import Lens, LensLawFit, Photo

__all__ = [
    "DepthPrior",
    "Lens",
    "LensLawFit",
    "MddnetError",
    "Model",
    "Photo",
    "Prediction",
    "StackResult",
    "__version__",
    "load",
    "read_photo",
    "stack",
]

_NAMES_OF = {
    "mddnet.errors": ["MddnetError"],
    "mddnet.focus_stack.result": ["StackResult"],
    "mddnet.focus_stack": ["stack"],
    "mddnet.photo.reader": ["read_photo"],
    "mddnet.predict.depth_prior": ["DepthPrior"],
    "mddnet.predict.prediction": ["Prediction"],
    "mddnet.predict.predictor": ["Model", "load"],
    "mddnet.types": ["Lens", "LensLawFit", "Photo"],
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use (PEP 562): ``import mddnet`` itself stays fast."""
    from importlib import import_module

    for module, names in _NAMES_OF.items():
        if name in names:
            globals()[name] = getattr(import_module(module), name)
            return globals()[name]
    raise AttributeError(f"module 'mddnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
