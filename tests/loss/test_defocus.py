"""Losses on the defocus map and the lens law."""

from __future__ import annotations

import math

import pytest
import torch

from mddnet.loss.defocus import coc_gradient, coc_huber, coc_root, sign_cross_entropy
from mddnet.loss.lens_law import align_scale_shift, lens_law_l1


def _map(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def test_coc_root_values() -> None:
    coded = coc_root(_map(0, 10, 40, 90), cap_px=40.0).flatten().tolist()
    assert coded == pytest.approx([0, 0.5, 1, 1], abs=6e-3)


def test_coc_huber_by_hand_and_masked() -> None:
    # codes 0.5 and 1: 0.5 less half of 0.25
    loss = coc_huber(_map(10, 7), _map(40, 90), _map(1, 0), cap_px=40.0)
    assert loss.item() == pytest.approx(0.375, abs=1e-4)
    # codes 0.25 and 0.3: 0.05 squared over 0.5
    assert coc_huber(_map(2.5), _map(3.6), _map(1), cap_px=40.0).item() == pytest.approx(0.005, abs=1e-4)


@pytest.mark.parametrize("blurred", [1, 3])
def test_between_sharp_and_little_blur_the_best_guess_is_neither(blurred: float) -> None:
    truth = _map(0, 0, 0, blurred, blurred)

    def loss(guess: float) -> float:
        return coc_huber(_map(*[guess] * 5), truth, torch.ones_like(truth), cap_px=64.0).item()

    best = min((loss(c), c) for c in torch.linspace(0, blurred, 101).tolist())[1]
    assert 0.05 * blurred < best < 0.5 * blurred


def test_coc_gradient_is_invariant_to_a_shift_of_the_code() -> None:
    truth = torch.rand(1, 1, 8, 8, dtype=torch.float64) * 10
    shifted = 40.0 * (coc_root(truth, 40.0) + 0.1) ** 2
    assert coc_gradient(shifted, truth, torch.ones_like(truth), 40.0).item() == pytest.approx(0, abs=1e-3)


def test_convention_positive_sign_is_behind() -> None:
    logit = _map(3, 3, 3)
    behind = sign_cross_entropy(logit, _map(5, 5, 5), _map(1, 1, 1))
    front = sign_cross_entropy(logit, _map(-5, -5, -5), _map(1, 1, 1))
    assert behind.item() == pytest.approx(math.log1p(math.exp(-3)))
    assert front.item() == pytest.approx(math.log1p(math.exp(3)))


def test_sign_counts_by_the_size_of_the_blur() -> None:
    assert sign_cross_entropy(_map(9), _map(-1.4), _map(1)).item() == 0
    # 2 px count half as much as 4 px and more
    right, wrong = math.log1p(math.exp(-3)), math.log1p(math.exp(3))
    loss = sign_cross_entropy(_map(3, 3), _map(2, -8), _map(1, 1))
    assert loss.item() == pytest.approx((0.5 * right + wrong) / 1.5)


def test_align_scale_shift_recovers_an_affine_map() -> None:
    predicted = torch.rand(3, 1, 9, 9, dtype=torch.float64)
    scale, shift = align_scale_shift(predicted, 2.5 * predicted - 0.7, torch.ones_like(predicted))
    assert torch.allclose(scale, torch.full_like(scale, 2.5), atol=1e-6)
    assert torch.allclose(shift, torch.full_like(shift, -0.7), atol=1e-6)


def test_lens_law_holds_for_the_truth_and_fails_for_a_wrong_plane() -> None:
    torch.manual_seed(0)
    u = torch.rand(2, 1, 9, 9, dtype=torch.float64)
    u_focus, kappa = torch.tensor([0.2, 0.8]), torch.tensor([12.0, 30.0])
    signed = kappa.view(-1, 1, 1, 1) * (u_focus.view(-1, 1, 1, 1) - u)
    predicted = 0.5 * u + 0.1  # another scale and shift, to which the loss is invariant
    weight = torch.ones_like(u)
    right = lens_law_l1(predicted, signed.abs(), u, u_focus, kappa, weight, 40.0)
    wrong = lens_law_l1(predicted, signed.abs(), u, u_focus + 0.4, kappa, weight, 40.0)
    assert right.max().item() < 1e-6
    assert wrong.min().item() > 0.05


def test_lens_law_changes_the_depth_only() -> None:
    torch.manual_seed(1)
    depth = torch.rand(1, 1, 6, 6, requires_grad=True)
    defocus = (torch.rand(1, 1, 6, 6) * 10).requires_grad_()
    loss = lens_law_l1(
        depth, defocus, torch.rand(1, 1, 6, 6), torch.tensor([0.5]), torch.tensor([20.0]), torch.ones(1, 1, 6, 6), 40.0
    )
    loss.sum().backward()
    assert depth.grad is not None and depth.grad.abs().sum() > 0
    assert defocus.grad is None
