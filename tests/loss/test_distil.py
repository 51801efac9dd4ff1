"""Losses that distil: by hand, and 0 where both say the same."""

from __future__ import annotations

import math

import pytest
import torch

from mddnet.loss.distil import distilled_features, distilled_sign


def test_divergence_of_the_sign_by_hand() -> None:
    # teacher 3:1, network 1:1: 3/4 ln(3/4 / (1/2)) + 1/4 ln(1/4 / (1/2))
    told, said = torch.full((1, 1, 2, 2), math.log(3.0)), torch.zeros(1, 1, 2, 2)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert distilled_sign(said, told).item() == pytest.approx(expected, abs=1e-6)


def test_both_are_0_where_both_say_the_same_and_above_elsewhere() -> None:
    torch.manual_seed(0)
    logits, features = torch.randn(2, 1, 4, 4), torch.randn(2, 8, 3, 3)
    assert distilled_sign(logits, logits).abs().max() < 1e-6
    assert distilled_features(features, 3 * features).abs().max() < 1e-5  # the length of a feature is free
    assert (distilled_sign(logits, logits + 1) > 0).all()
    assert distilled_features(features, -features).tolist() == pytest.approx([2.0, 2.0], abs=1e-5)


def test_the_gradient_leads_to_the_teacher() -> None:
    said = torch.zeros(1, 1, 1, 1, requires_grad=True)
    distilled_sign(said, torch.full((1, 1, 1, 1), 2.0)).sum().backward()
    assert said.grad is not None and said.grad.item() == pytest.approx(0.5 - 1 / (1 + math.exp(-2.0)), abs=1e-6)
