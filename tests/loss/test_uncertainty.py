"""Laplace likelihoods: values, their minimum, what they train and when."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tests.loss.test_total import CAP_PX, _batch, _random_maps

from mddnet.config import LossConfig
from mddnet.loss.total import total_loss
from mddnet.loss.uncertainty import laplace_nll


def test_laplace_nll_by_hand_and_least_at_the_mean_error() -> None:
    error = torch.tensor([2.0, -2.0])
    assert laplace_nll(error, torch.zeros(2)).tolist() == [2.0, 2.0]
    at_scale = laplace_nll(error, torch.full((2,), math.log(2.0)))
    assert at_scale.tolist() == pytest.approx([1 + math.log(2.0)] * 2)
    for other in (0.5, 1.0):
        assert (laplace_nll(error, torch.full((2,), other)) > at_scale).all()


def _terms(progress: float, **changes):
    maps, batch = _random_maps(), replace(_batch(), **changes)
    for value in maps:
        value.requires_grad_()
    generator = torch.Generator().manual_seed(0)
    config = LossConfig(depth=0, depth_gradient=0, ranking=0, defocus=0, defocus_gradient=0, sign=0, lens_law=0)
    total, terms = total_loss(maps, batch, config, CAP_PX, generator, progress)
    total.backward()
    return maps, terms


def test_uncertainties_are_trained_alone_and_late() -> None:
    maps, terms = _terms(1.0)
    assert maps.inv_depth_log_sigma.grad.abs().sum() > 0 and maps.defocus_log_sigma.grad.abs().sum() > 0
    assert not maps.inv_depth.grad.any() and not maps.defocus_px.grad.any()
    _, early = _terms(0.1)
    assert early["depth_uncertainty"] == early["defocus_uncertainty"] == 0 != terms["defocus_uncertainty"]


def test_camera_by_hand_and_only_where_known() -> None:
    maps = _random_maps()
    camera = maps.camera.clone()
    camera[:, :2], camera[:, 2:] = torch.tensor([0.5, 1.0]), 0.0
    truth = torch.tensor([[0.0, math.nan], [math.nan, math.nan]])
    generator = torch.Generator().manual_seed(0)
    batch = replace(_batch(), camera=truth)
    _, terms = total_loss(maps._replace(camera=camera), batch, LossConfig(), CAP_PX, generator)
    assert terms["camera"].item() == pytest.approx(0.5 / 2)  # the mean over two images
