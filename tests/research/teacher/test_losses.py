"""Losses by hand-computed values."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from research.teacher import losses


def everywhere(values: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(values, dtype=torch.bool)


def ramp(rows: int = 5, columns: int = 5) -> torch.Tensor:
    return torch.arange(rows * columns, dtype=torch.float32).view(1, rows, columns)


def test_normalised_has_median_zero_and_mean_deviation_one() -> None:
    made = losses.normalised(ramp(), everywhere(ramp()))
    # 0..24: the median is 12, the mean of |x - 12| is 2 * (1 + ... + 12) / 25 = 6.24
    assert made[0, 2, 2] == 0
    assert float(made[0, 0, 1]) == pytest.approx((1 - 12) / 6.24)


def test_normalised_forgets_scale_and_shift() -> None:
    known = everywhere(ramp())
    assert torch.allclose(losses.normalised(3 * ramp() + 7, known), losses.normalised(ramp(), known), atol=1e-5)


def test_normalised_looks_at_known_pixels_only() -> None:
    known = everywhere(ramp())
    known[0, 4, 4] = False
    wild = ramp().clone()
    wild[0, 4, 4] = 1e6
    assert torch.allclose(losses.normalised(wild, known)[known], losses.normalised(ramp(), known)[known])


def test_affine_l1_is_the_clipped_mean() -> None:
    truth = torch.zeros(1, 2, 2)
    pred = torch.tensor([[[1.0, -1.0], [0.0, 10.0]]])
    # 1 + 1 + 0 + 3 (clipped), over four pixels
    assert float(losses.affine_l1(pred, truth, everywhere(truth))[0]) == pytest.approx(1.25)


def test_affine_l1_leaves_unknown_pixels_out() -> None:
    truth = torch.zeros(1, 2, 2)
    known = torch.tensor([[[True, True], [False, False]]])
    pred = torch.tensor([[[1.0, 0.0], [9.0, 9.0]]])
    assert float(losses.affine_l1(pred, truth, known)[0]) == pytest.approx(0.5)


def test_gradients_of_a_ramp_that_is_missing() -> None:
    truth = ramp(9, 9)[:, :, :] * 0 + torch.arange(9.0).view(1, 1, 9)
    flat = torch.zeros_like(truth)
    # across: steps of 1, 2, 4, 8 are missed by 1, 2, 3 (clipped), 3 (clipped); down: none; over 4 steps and 2 axes
    assert float(losses.gradients(flat, truth, everywhere(truth))[0]) == pytest.approx((1 + 2 + 3 + 3) / 8)


def test_gradients_do_not_see_a_shift() -> None:
    assert float(losses.gradients(ramp(9, 9) + 5, ramp(9, 9), everywhere(ramp(9, 9)))[0]) == 0


def test_ranking_prefers_the_right_order() -> None:
    known = everywhere(ramp())
    truth = losses.normalised(ramp(), known)
    drawn = [torch.Generator().manual_seed(0) for _ in range(3)]
    right = losses.ranking(truth, truth, known, 500, drawn[0])[0]
    flat = losses.ranking(torch.zeros_like(truth), truth, known, 500, drawn[1])[0]
    wrong = losses.ranking(-truth, truth, known, 500, drawn[2])[0]
    assert right < flat < wrong
    # nothing is known of any pair: log 2 each
    assert float(flat) == pytest.approx(0.6931, abs=1e-3)


def test_ordinal_truth_counts_by_rank_alone() -> None:
    truth = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(1))
    pred = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(2))
    no, yes = torch.zeros(1), torch.ones(1)
    ordinal = losses.depth_loss(pred, truth, no, no, torch.Generator().manual_seed(3))
    every = losses.depth_loss(pred, truth, yes, yes, torch.Generator().manual_seed(3))
    assert 0 < float(ordinal) < float(every)


def test_loss_of_a_view_without_truth_is_nothing() -> None:
    truth = torch.stack([torch.full((8, 8), float("nan")), torch.rand(8, 8)])
    pred = torch.rand(2, 8, 8, requires_grad=True)
    loss = losses.depth_loss(pred, truth, torch.ones(2), torch.ones(2), torch.Generator().manual_seed(0))
    loss.backward()
    assert pred.grad is not None and torch.isfinite(pred.grad).all()
    assert not pred.grad[0].any() and pred.grad[1].any()
