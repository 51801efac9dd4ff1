"""A run that was interrupted gives the weights of one that was not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("timm")
pytest.importorskip("torch")

import cv2
import torch
from research.teacher.batches import SOURCE_WEIGHTS
from research.teacher.network import ConvDepth
from research.teacher.samples import Sample
from safetensors.torch import load_file, save_file

from research.teacher import train

RECIPE = replace(
    train.RECIPES["conv"], steps=2, batch=2, warm_up=1, sizes=((64, 64),), late_sizes=((64, 96),), late_share=0.5
)


def made_samples(folder: Path) -> list[Sample]:
    """Three views of a ramp."""
    rng, samples = np.random.default_rng(0), []
    for number in range(3):
        image, truth = folder / f"{number}.jpg", folder / f"{number}.png"
        cv2.imwrite(str(image), rng.integers(0, 256, (96, 128, 3), dtype=np.uint8))
        ramp = np.linspace(1000, 50000, 96)[:, None] * np.ones((1, 128))
        cv2.imwrite(str(truth), ramp.astype(np.uint16))
        samples.append(Sample("levels", f"levels/{number}", str(number), image, truth, "made", "exact", "proportional"))
    return samples


def start_weights(folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / "start.safetensors"
    save_file(ConvDepth().state_dict(), path)
    return path


@pytest.mark.slow
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    samples, start = made_samples(tmp_path), start_weights(tmp_path)
    whole = train.Run(RECIPE, samples, tmp_path / "whole", None, start)
    whole.go()
    first = train.Run(RECIPE, samples, tmp_path / "parts", None, start)
    for number in range(1):
        first.learn(*first.fetch(number))
        first.step += 1
    first.save()
    second = train.Run(RECIPE, samples, tmp_path / "parts", None, start)
    assert second.step == 1
    second.go()
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_rates_fall_from_block_to_block_and_over_the_steps() -> None:
    recipe = train.RECIPES["tuned"]
    assert train.rate_factor(0, recipe) == pytest.approx(1 / recipe.warm_up)
    assert train.rate_factor(recipe.warm_up, recipe) == pytest.approx(1)
    assert train.rate_factor(recipe.steps, recipe) == pytest.approx(0.01)


def test_every_source_of_photos_has_a_weight() -> None:
    assert {"stereo", "rgbd", "multiview", "stacks", "photos"} <= SOURCE_WEIGHTS.keys()
