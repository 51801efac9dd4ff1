"""A new loss needs a function and a field; sum, checks of the recipe and columns of the log follow."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tests.loss.test_total import CAP_PX, _batch, _random_maps  # noqa: E402
from torch import Tensor  # noqa: E402

from mddnet.config import LossConfig, Weight, _loss  # noqa: E402
from mddnet.loss import registry  # noqa: E402
from mddnet.loss.registry import LossInputs, known, loss_term, loss_terms  # noqa: E402
from mddnet.loss.total import total_loss  # noqa: E402
from mddnet.model.network import Maps  # noqa: E402


def test_fields_and_functions_match() -> None:
    assert loss_terms().keys() == LossConfig.needs().keys()
    assert {need for needs in LossConfig.needs().values() for need in needs} <= set(Maps._fields)


def test_worked_example_of_a_new_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    loss_terms()  # those that are there already
    monkeypatch.setattr(registry, "_TERMS", dict(registry._TERMS))
    loss_terms.cache_clear()

    @loss_term
    def smoothness(inputs: LossInputs) -> Tensor:
        """Mean gradient of inverse depth."""
        return known(inputs.maps.inv_depth).diff(dim=-1).abs().flatten(1).mean(1)

    class WithSmoothness(LossConfig):
        smoothness: Weight = _loss(2.0, "Weight of the mean gradient of inverse depth.", "inv_depth")

    maps, generator = _random_maps(), torch.Generator().manual_seed(0)
    total, terms = total_loss(maps, _batch(), WithSmoothness(), CAP_PX, generator)
    expected = maps.inv_depth.diff(dim=-1).abs().mean()
    assert terms["smoothness"].item() == pytest.approx(expected.item(), rel=1e-5)
    without, _ = total_loss(maps, _batch(), LossConfig(), CAP_PX, torch.Generator().manual_seed(0))
    assert total.item() == pytest.approx(without.item() + 2 * expected.item(), rel=1e-5)
    assert (
        "smoothness" not in total_loss(maps._replace(inv_depth=None), _batch(), WithSmoothness(), CAP_PX, generator)[1]
    )
    loss_terms.cache_clear()
