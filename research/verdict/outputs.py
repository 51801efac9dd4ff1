"""The network's outputs for the cases, cached by the hash of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from research.verdict.cases import Case, Truth

from mddnet.io.atomic import atomic_write
from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.fusion import FusionInput
from mddnet.predict.predictor import Model
from mddnet.types import Float32Array

MAPS = ("depth", "depth_log_sigma", "coc_px", "coc_log_sigma", "sign_logit")


def outputs(
    model: Model, cases: Sequence[Case], cache: Path
) -> Iterator[tuple[Case, Truth, FusionInput, Float32Array]]:
    """The outputs for all cases, and the depth at half the size; those of earlier runs from ``cache/HASH``."""
    folder = cache / model.version.rpartition("+")[2]
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        path = folder / f"{case.name}.npz"
        truth = case.truth()
        if path.exists():
            yield case, truth, *_read(path, truth)
            continue
        answers = model.network_maps(truth.photo)
        camera = answers.camera
        assert camera is not None
        arrays = {name: getattr(answers, name) for name in MAPS}
        arrays["camera"] = np.array([getattr(camera, field.name) for field in fields(CameraEstimate)])
        arrays["half_depth"] = half_depth = model.network_maps(truth.photo, max(truth.photo.shape) // 2).depth
        atomic_write(path, lambda stream, arrays=arrays: np.savez_compressed(stream, **arrays))  # type: ignore[misc]
        yield case, truth, answers, half_depth


def _read(path: Path, truth: Truth) -> tuple[FusionInput, Float32Array]:
    with np.load(path, allow_pickle=False) as arrays:
        maps = {name: arrays[name] for name in MAPS}
        camera, half_depth = CameraEstimate(*map(float, arrays["camera"])), arrays["half_depth"]
    return FusionInput(**maps, photo=truth.photo, camera=camera), half_depth
