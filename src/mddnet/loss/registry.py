"""The terms of the loss, by name.

A new term is a function registered by :func:`loss_term` in any module of this package, and a field of the same name in
:class:`mddnet.config.LossConfig` with its weight and the maps that it needs. Nothing else needs to change.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

import mddnet.loss
from mddnet.config import LossConfig
from mddnet.data.batch import Batch
from mddnet.model.network import Maps

if TYPE_CHECKING:
    from jaxtyping import Float

    Map: TypeAlias = Float[Tensor, "B 1 h w"]
    PerImage: TypeAlias = Float[Tensor, " B"]

UNSTATED_PX, LEAST_CERTAINTY = 6.0, 0.05
"""CoCs below the first count less where the picture may have a blur of its own, in proportion, and at least by the
second."""


@dataclass(frozen=True, slots=True)
class LossInputs:
    """Input of a term."""

    maps: Maps  # of the network; those that the term needs are not None
    batch: Batch
    config: LossConfig
    cap_px: float  # largest CoC of the network
    progress: float  # share of the steps done
    generator: torch.Generator  # source of random pairs
    inv_depth: Map  # true inverse depth, 0 where unknown
    signed_px: Map  # true signed CoC, 0 where unknown

    @property
    def metric(self) -> PerImage:
        """0 for an ordinal scene, else 1."""
        return (~self.batch.ordinal).to(self.inv_depth)

    @property
    def coc_certainty(self) -> Map:
        """How much the true CoC counts, in [0, 1].

        A picture that is not known to be sharp may have a blur of its own, which matters less in a larger one: the
        stated CoC is a lower limit. A smaller estimate than that is wrong in any case, and counts in full.

        A photo with a pseudo-label may have any blur of its own: its CoC hardly counts.
        """
        stated = self.signed_px.abs()
        crisp, pseudo = (flag.view(-1, 1, 1, 1) for flag in (self.batch.crisp, self.batch.pseudo))
        larger = torch.where(pseudo, LEAST_CERTAINTY, (stated / UNSTATED_PX).clamp(LEAST_CERTAINTY, 1.0))
        smaller = (known(self.maps.defocus_px) < stated) & ~pseudo
        return torch.where(crisp | smaller, 1.0, larger)

    @property
    def depth_factor(self) -> PerImage:
        """Factor of the depth terms, smaller for synthetic depth and pseudo-labels."""
        factor = torch.where(self.batch.synthetic, self.config.synthetic_depth, 1.0)
        return torch.where(self.batch.pseudo, self.config.pseudo_depth, factor)


Term = Callable[[LossInputs], Tensor]
_TERMS: dict[str, Term] = {}


def loss_term(function: Term) -> Term:
    """Register a term under the name of the function, which returns one value per image, (B,)."""
    _TERMS[function.__name__] = function
    return function


def known(values: Tensor | None) -> Tensor:
    """A map that the term needs, and is therefore not None."""
    assert values is not None
    return values


@cache
def loss_terms() -> Mapping[str, Term]:
    """All terms of this package."""
    for module in pkgutil.iter_modules(mddnet.loss.__path__):
        import_module(f"mddnet.loss.{module.name}")
    return _TERMS
