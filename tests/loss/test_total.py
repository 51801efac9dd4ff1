"""The sum of the losses: which terms count for which scene."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mddnet.config import LossConfig
from mddnet.data.batch import Batch
from mddnet.loss.total import total_loss
from mddnet.model.network import Maps

CAP_PX = 40.0


def _batch(ordinal: bool = False, synthetic: bool = False) -> Batch:
    torch.manual_seed(0)
    u = torch.rand(2, 1, 16, 16)
    u_focus, kappa = torch.tensor([0.3, 0.7]), torch.tensor([20.0, 10.0])
    return Batch(
        image=torch.rand(2, 3, 16, 16),
        inv_depth=u,
        signed_defocus_px=kappa.view(-1, 1, 1, 1) * (u_focus.view(-1, 1, 1, 1) - u),
        weight=torch.ones(2, 1, 16, 16),
        u_focus=u_focus,
        kappa_px=kappa,
        ordinal=torch.tensor([ordinal, ordinal]),
        synthetic=torch.tensor([synthetic, synthetic]),
    )


def _terms(maps: Maps, batch: Batch, config: LossConfig | None = None) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    _, terms = total_loss(maps, batch, config or LossConfig(), CAP_PX, generator)
    return {name: value.item() for name, value in terms.items()}


def _random_maps() -> Maps:
    torch.manual_seed(1)
    sign_logit = torch.randn(2, 1, 16, 16)
    return Maps(torch.rand(2, 1, 16, 16), 10 * torch.rand(2, 1, 16, 16), sign_logit, 0.5 * sign_logit)


def test_truth_has_almost_no_loss() -> None:
    batch = _batch()
    signed = batch.signed_defocus_px
    terms = _terms(Maps(batch.inv_depth, signed.abs(), 50 * signed, 50 * signed), batch)
    assert terms.pop("ranking") < 0.4  # a logistic loss is never 0
    assert max(terms.values()) < 1e-5


def test_total_is_the_weighted_sum() -> None:
    config = LossConfig(depth=2, depth_gradient=3, defocus=5, defocus_gradient=7, sign=11, lens_law=13, ranking=17)
    total, terms = total_loss(_random_maps(), _batch(), config, CAP_PX, torch.Generator().manual_seed(0))
    expected = sum(getattr(config, name) * value.item() for name, value in terms.items())
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_ordinal_scenes_have_ranking_and_defocus_losses_only() -> None:
    terms = _terms(_random_maps(), _batch(ordinal=True))
    assert terms["depth"] == terms["depth_gradient"] == terms["lens_law"] == 0
    assert min(terms["ranking"], terms["defocus"], terms["sign"]) > 0


def test_synthetic_depth_has_weight_of_recipe() -> None:
    real, synthetic = _terms(_random_maps(), _batch()), _terms(_random_maps(), _batch(synthetic=True))
    share = LossConfig().synthetic_depth
    for name in ("depth", "depth_gradient", "ranking"):
        assert synthetic[name] == pytest.approx(share * real[name], rel=1e-5)
    for name in ("defocus", "sign", "lens_law"):
        assert synthetic[name] == real[name]


def test_unknown_pixels_are_ignored() -> None:
    batch = _batch()
    known = _terms(_random_maps(), replace(batch, weight=batch.weight * (torch.arange(16) < 8)))
    inv_depth, signed = batch.inv_depth.clone(), batch.signed_defocus_px.clone()
    inv_depth[..., 8:], signed[..., 8:] = float("nan"), float("nan")
    hidden = replace(batch, inv_depth=inv_depth, signed_defocus_px=signed, weight=batch.weight * (torch.arange(16) < 8))
    assert _terms(_random_maps(), hidden) == pytest.approx(known, rel=1e-5)


def test_missing_task_has_no_term() -> None:
    maps = _random_maps()
    assert set(_terms(Maps(maps.inv_depth, None, None, None), _batch())) == {"depth", "depth_gradient", "ranking"}
    assert set(_terms(Maps(None, maps.defocus_px, None, None), _batch())) == {"defocus", "defocus_gradient"}
