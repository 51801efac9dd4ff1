"""The terms of the loss, by name.

A new term is a function registered by :func:`loss_term`, in any module of this package, and a field of the same
name in :class:`mddnet.config.LossConfig` with its weight and the maps that it needs. The sum, the recipe's settings and
the columns of the log follow.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import torch
from torch import Tensor

import mddnet.loss
from mddnet.data.batch import Batch
from mddnet.model.network import Maps


@dataclass(frozen=True, slots=True)
class LossInputs:
    """What a term may look at.

    Attributes:
        maps: the maps of the network; those that the term needs are there.
        batch: the samples.
        cap_px: CoC cap of one pass of the network.
        synthetic_depth: factor of the depth terms on photos with a synthetic depth.
        generator: source of random pairs.
        inv_depth: (B, 1, H, W) true inverse depth, 0 where unknown.
        signed_px: (B, 1, H, W) true signed CoC, 0 where unknown.
    """

    maps: Maps
    batch: Batch
    cap_px: float
    synthetic_depth: float
    generator: torch.Generator
    inv_depth: Tensor
    signed_px: Tensor

    @property
    def metric(self) -> Tensor:
        """(B,) 0 for an ordinal scene, of which only the order is known, else 1."""
        return (~self.batch.ordinal).to(self.inv_depth)

    @property
    def layout(self) -> Tensor:
        """(B,) factor of the depth terms: less where the depth is synthetic."""
        return torch.where(self.batch.synthetic, self.synthetic_depth, 1.0)


Term = Callable[[LossInputs], Tensor]
_TERMS: dict[str, Term] = {}


def loss_term(function: Term) -> Term:
    """Register a term under its function's name. It gives one value per image, (B,)."""
    _TERMS[function.__name__] = function
    return function


def known(values: Tensor | None) -> Tensor:
    """A map that the term needs, and so is there."""
    assert values is not None
    return values


@cache
def loss_terms() -> Mapping[str, Term]:
    """Every term of the modules of this package."""
    for module in pkgutil.iter_modules(mddnet.loss.__path__):
        import_module(f"mddnet.loss.{module.name}")
    return _TERMS
