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


def _batch(
    ordinal: bool = False, synthetic: bool = False, pseudo: bool = False, exact: bool = True, crisp: bool = True
) -> Batch:
    torch.manual_seed(0)
    u = torch.rand(2, 1, 16, 16)
    u_focus, kappa = torch.tensor([0.3, 0.7]), torch.tensor([20.0, 10.0])
    return Batch(
        image=torch.rand(2, 3, 64, 64),
        inv_depth=u,
        signed_defocus_px=kappa.view(-1, 1, 1, 1) * (u_focus.view(-1, 1, 1, 1) - u),
        weight=torch.ones(2, 1, 16, 16),
        u_focus=u_focus,
        kappa_px=kappa,
        camera=torch.tensor([[-0.5, 1.0], [-0.2, 0.0]]),
        ordinal=torch.tensor([ordinal, ordinal]),
        exact=torch.tensor([exact, exact]),
        synthetic=torch.tensor([synthetic, synthetic]),
        pseudo=torch.tensor([pseudo, pseudo]),
        crisp=torch.tensor([crisp, crisp]),
    )


def _terms(maps: Maps, batch: Batch, config: LossConfig | None = None) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    _, terms = total_loss(maps, batch, config or LossConfig(), CAP_PX, generator)
    return {name: value.item() for name, value in terms.items()}


def _random_maps() -> Maps:
    torch.manual_seed(1)
    return Maps(
        inv_depth=torch.rand(2, 1, 16, 16),
        inv_depth_log_sigma=torch.randn(2, 1, 16, 16),
        defocus_px=10 * torch.rand(2, 1, 16, 16),
        defocus_log_sigma=torch.randn(2, 1, 16, 16),
        sign_logit=torch.randn(2, 1, 16, 16),
        camera=torch.randn(2, 4),
    )


def test_truth_has_almost_no_loss() -> None:
    batch = _batch()
    signed = batch.signed_defocus_px
    terms = _terms(Maps(batch.inv_depth, None, signed.abs(), None, 50 * signed), batch)
    assert terms.pop("ranking") < 0.4  # a logistic loss is never 0
    assert max(terms.values()) < 1e-5


def test_total_is_the_weighted_sum() -> None:
    config = LossConfig(depth=2, depth_gradient=3, defocus=5, defocus_gradient=7, sign=11, lens_law=13, ranking=17)
    total, terms = total_loss(_random_maps(), _batch(), config, CAP_PX, torch.Generator().manual_seed(0))
    expected = sum(getattr(config, name) * value.item() for name, value in terms.items())
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_ordinal_scenes_have_ranking_and_defocus_losses_only() -> None:
    terms = _terms(_random_maps(), _batch(ordinal=True, exact=False))
    assert terms["depth"] == terms["lens_law"] == terms["depth_uncertainty"] == 0
    assert min(terms["ranking"], terms["defocus"], terms["sign"]) > 0


def test_gradients_count_only_where_the_depth_is_exact() -> None:
    terms, exact = _terms(_random_maps(), _batch(exact=False)), _terms(_random_maps(), _batch())
    assert terms.pop("depth_gradient") == 0 < exact.pop("depth_gradient")
    assert terms == exact


@pytest.mark.parametrize("kind", ["synthetic", "pseudo"])
def test_untrusted_depth_has_weight_of_recipe(kind: str) -> None:
    real, other = _terms(_random_maps(), _batch()), _terms(_random_maps(), _batch(**{kind: True}))
    share = getattr(LossConfig(), f"{kind}_depth")
    for name in ("depth", "depth_gradient", "ranking", "lens_law", "depth_uncertainty"):
        assert other[name] == pytest.approx(share * real[name], rel=1e-5)
    for name in ("defocus", "sign", "defocus_uncertainty"):
        assert other[name] == real[name]


def test_unknown_pixels_are_ignored() -> None:
    batch = _batch()
    known = _terms(_random_maps(), replace(batch, weight=batch.weight * (torch.arange(16) < 8)))
    inv_depth, signed = batch.inv_depth.clone(), batch.signed_defocus_px.clone()
    inv_depth[..., 8:], signed[..., 8:] = float("nan"), float("nan")
    hidden = replace(batch, inv_depth=inv_depth, signed_defocus_px=signed, weight=batch.weight * (torch.arange(16) < 8))
    assert _terms(_random_maps(), hidden) == pytest.approx(known, rel=1e-5)


def test_missing_task_has_no_term() -> None:
    maps = _random_maps()
    assert set(_terms(Maps(inv_depth=maps.inv_depth), _batch())) == {"depth", "depth_gradient", "ranking"}
    assert set(_terms(Maps(defocus_px=maps.defocus_px), _batch())) == {"defocus", "defocus_gradient"}


def _terms_of_constant_px(px: float, truth_px: float, **kind: bool) -> dict[str, float]:
    maps = _random_maps()
    assert maps.defocus_px is not None
    maps = maps._replace(defocus_px=torch.full_like(maps.defocus_px, px))
    return _terms(maps, replace(_batch(**kind), signed_defocus_px=torch.full((2, 1, 16, 16), -truth_px)))


def test_larger_blur_than_the_stated_counts_less_where_the_picture_may_have_a_blur_of_its_own() -> None:
    """Stated sharp: a twentieth. Stated 3 px of 6: a half. Stated 6 px or more: in full."""
    for truth_px, share in ((0.0, 0.05), (3.0, 0.5), (6.0, 1.0), (20.0, 1.0)):
        sure, unsure = (_terms_of_constant_px(30.0, truth_px, crisp=crisp) for crisp in (True, False))
        assert unsure["defocus"] == pytest.approx(share * sure["defocus"], rel=1e-5), truth_px
        assert unsure["sign"] == sure["sign"] and unsure["depth"] == sure["depth"]


def test_the_stated_blur_is_a_lower_limit() -> None:
    for truth_px in (1.0, 3.0, 20.0):
        sure, unsure = (_terms_of_constant_px(0.5, truth_px, crisp=crisp) for crisp in (True, False))
        assert unsure["defocus"] == pytest.approx(sure["defocus"], rel=1e-5), truth_px


def test_the_blur_of_a_pseudo_labelled_photo_is_hardly_learnt_but_its_depth_is() -> None:
    for px in (0.5, 30.0):
        pseudo = _terms_of_constant_px(px, 6.0, pseudo=True, crisp=False)
        certain = _terms_of_constant_px(px, 6.0, crisp=True)
        assert pseudo["defocus"] == pytest.approx(0.05 * certain["defocus"], rel=1e-5)
    terms = _terms(_random_maps(), _batch(pseudo=True, crisp=False))
    assert terms["depth"] > 0 and terms["sign"] > 0
