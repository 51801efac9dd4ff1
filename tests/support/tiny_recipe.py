"""A training that takes seconds: a narrow network without ImageNet, two crops of 64 px a step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mddnet.config import Recipe

WIDTHS = (32, 24, 16)


def tiny_recipe(
    scenes: Path,
    split: Path,
    out: Path,
    *,
    model: Mapping[str, Any] | None = None,
    optim: Mapping[str, Any] | None = None,
    **train: Any,
) -> Recipe:
    """A recipe on the focal stacks below ``scenes``; the rest goes into the tables of these names, or ``[train]``."""
    return Recipe.model_validate(
        {
            "name": "tiny",
            "model": {"pretrained": False, "decoder_channels": list(WIDTHS), **(model or {})},
            "data": {
                "scenes": scenes,
                "split": split,
                "crop": [64, 64],
                "late_crop": [64, 96],
                "batch_size": 2,
                "workers": 0,
                "mixture": {"focal_stacks": 1.0},
            },
            "optim": {"steps": 2, "warmup_steps": 1, **(optim or {})},
            "train": {"out": out, "threads": 1, "validate_every": 0, **train},
        }
    )
