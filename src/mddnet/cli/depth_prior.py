"""The value of ``--depth-prior``: a file, a folder of files, or a depth network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mddnet.cli.flags import WrongUsage
from mddnet.errors import MddnetError
from mddnet.evaluate.baselines import find_baseline
from mddnet.evaluate.baselines.transformers_model import is_transformers_model
from mddnet.evaluate.methods import Method, can_estimate, checked_infer
from mddnet.predict.depth_prior import FILE_SUFFIXES, DepthPrior, FilePriors, Priors
from mddnet.types import InvDepthUnit, UInt8Array


@dataclass(frozen=True, slots=True)
class NetworkPriors:
    """Depth priors by a network."""

    method: Method

    def of(self, photo: Path) -> Callable[[UInt8Array], DepthPrior]:
        return self._inferred

    def name_for(self, photo: Path) -> str:
        return self.method.name

    def _inferred(self, pixels: UInt8Array) -> DepthPrior:
        inv_depth = checked_infer(self.method, pixels).inv_depth
        assert inv_depth is not None  # as checked by priors_of
        unit: InvDepthUnit = "1/m" if "depth_m" in self.method.quantities else "relative"
        return DepthPrior(np.asarray(inv_depth, np.float32), unit, self.method.name)


def priors_of(value: str, threads: int | None) -> Priors:
    """The priors of ``--depth-prior``; WrongUsage if there is no such file, folder or network, or it has no depth."""
    path = Path(value)
    if path.suffix.lower() in FILE_SUFFIXES:
        if not path.is_file():
            raise WrongUsage(f"--depth-prior {value}: no such file; expected a depth map, a folder, or a network")
        return FilePriors(path)
    if path.is_dir() and not (path / "model.onnx").is_file() and not is_transformers_model(path):
        return FilePriors(path)
    try:
        method = find_baseline(value, threads, download=True)
    except MddnetError as error:
        raise WrongUsage(f"--depth-prior {error}") from error
    if not can_estimate(method, "depth"):
        raise WrongUsage(f"--depth-prior {value}: estimates {', '.join(method.quantities)}; expected a depth network")
    return NetworkPriors(method)
