"""Losses on inverse depth: hand-computed values, invariances, masks, gradients."""

from __future__ import annotations

import math

import pytest
import torch

from mddnet.loss.depth import gradient_matching, masked_mean, normalise, pair_ranking, scale_shift_invariant_l1


def _map(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def test_masked_mean_values() -> None:
    mean = masked_mean(_map(1, 2, 100), _map(1, 0.5, 0))
    assert mean.item() == pytest.approx((1 + 1) / 1.5)
    assert masked_mean(_map(5, 6), _map(0, 0)).item() == 0


def test_normalise_values() -> None:
    # median of 0, 1, 5 is 1; mean |u - 1| is (1 + 0 + 4) / 3
    normalised, scale = normalise(_map(0, 1, 5), _map(1, 1, 1), floor=1e-3)
    assert scale.item() == pytest.approx(5 / 3)
    assert normalised.flatten().tolist() == pytest.approx([-0.6, 0.0, 2.4])


def test_normalise_ignores_masked_pixels() -> None:
    a, _ = normalise(_map(0, 1, 5, 1e6), _map(1, 1, 1, 0), floor=1e-3)
    b, _ = normalise(_map(0, 1, 5), _map(1, 1, 1), floor=1e-3)
    assert torch.allclose(a[..., :3], b)


def test_scale_shift_invariant_l1_values() -> None:
    # truth 0, 1, 5 -> -0.6, 0, 2.4; prediction 0, 4, 5: median 4, deviation (4 + 0 + 1) / 3 -> -2.4, 0, 0.6
    loss = scale_shift_invariant_l1(_map(0, 4, 5), _map(0, 1, 5), _map(1, 1, 1))
    assert loss.item() == pytest.approx((1.8 + 0 + 1.8) / 3)


@pytest.mark.parametrize("loss", [scale_shift_invariant_l1, gradient_matching])
def test_loss_is_invariant_to_scale_and_shift(loss) -> None:
    truth = torch.rand(2, 1, 16, 16, dtype=torch.float64)
    weight = torch.ones_like(truth)
    assert loss(0.3 * truth + 0.1, truth, weight).max().item() == pytest.approx(0, abs=1e-9)
    assert loss(1 - truth, truth, weight).min().item() > 0.1


def test_flat_crop_has_smaller_loss() -> None:
    noise = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    flat = 0.5 + 0.001 * torch.rand(1, 1, 8, 8, dtype=torch.float64)
    assert scale_shift_invariant_l1(noise, flat, torch.ones_like(flat)).item() < 0.05


def test_pair_ranking_values() -> None:
    # two pixels: every counted pair is the same pair in one order or the other, so the loss is softplus(-gap / spread)
    truth, predicted = _map(0.0, 1.0), _map(0.2, 0.6)
    spread = 0.2  # median 0.2 (the lower of two), mean deviation 0.2
    value = pair_ranking(predicted, truth, _map(1, 1), torch.Generator().manual_seed(0), pairs=64)
    assert value.item() == pytest.approx(math.log1p(math.exp(-0.4 / spread)))


def test_pair_ranking_prefers_the_right_order_and_skips_close_pairs() -> None:
    truth = torch.rand(1, 1, 12, 12)
    weight = torch.ones_like(truth)
    right = pair_ranking(truth, truth, weight, torch.Generator().manual_seed(1))
    wrong = pair_ranking(1 - truth, truth, weight, torch.Generator().manual_seed(1))
    assert right.item() < 0.35 < 0.7 < wrong.item()
    close = pair_ranking(truth, 0.05 * truth, weight, torch.Generator().manual_seed(1))
    assert close.item() == 0


@pytest.mark.parametrize("loss", [scale_shift_invariant_l1, gradient_matching])
def test_gradcheck(loss) -> None:
    torch.manual_seed(0)
    predicted = torch.rand(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    truth = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    weight = (torch.rand(1, 1, 4, 4) > 0.3).double()
    assert torch.autograd.gradcheck(lambda p: loss(p, truth, weight).sum(), (predicted,))
