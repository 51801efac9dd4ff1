"""What a method states, and how a baseline is found."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mddnet.errors import ModelError
from mddnet.evaluate.baselines import BASELINES, find_baseline
from mddnet.evaluate.methods import QUANTITIES, checked_infer, estimate_from
from mddnet.metrics import Estimate


def test_every_quantity_of_blur_by_hand() -> None:
    values = np.array([[0.2, 0.6]], dtype=np.float32)
    sigma = estimate_from("sigma_px", values)
    np.testing.assert_allclose(sigma.defocus_px, [[0.8, 2.4]], rtol=1e-6)  # type: ignore[arg-type]
    assert sigma.detected(1.0).tolist() == [[False, True]]  # type: ignore[union-attr]
    encoded = estimate_from("dmenet_sigma", values)
    np.testing.assert_allclose(encoded.defocus_px, [[0.2 * 13.1, 0.6 * 13.1]], rtol=1e-6)  # type: ignore[arg-type]
    chance = estimate_from("blur_probability", values)
    assert chance.defocus_px is None and chance.detected(99.0).tolist() == [[False, True]]  # type: ignore[union-attr]
    score = estimate_from("blur_score", -values)
    assert score.defocus_px is None and score.detected(1.0) is None and score.blur is not None
    assert estimate_from("inv_depth", values).blur is None


def test_depth_in_metres_becomes_inverse_depth() -> None:
    depth = estimate_from("depth_m", np.array([[2.0, 0.5]], dtype=np.float32)).inv_depth
    assert depth is not None and depth.tolist() == [[0.5, 2.0]]
    assert len(QUANTITIES) == 7


@pytest.mark.parametrize(
    ("estimate", "message"),
    [
        (Estimate(inv_depth=np.zeros((2, 2), np.float32)), "expected"),
        (Estimate(defocus_px=np.zeros((2, 3), np.float32)), "shape"),
        (Estimate(defocus_px=np.full((2, 2), np.nan, np.float32)), "finite"),
    ],
)
def test_an_estimate_of_another_quantity_is_rejected(estimate: Any, message: str) -> None:
    baseline: Any = SimpleNamespace(name="odd", quantities=("defocus_px",), infer=lambda photo: estimate)
    with pytest.raises(ModelError, match=f"odd.*{message}"):
        checked_infer(baseline, np.zeros((2, 2, 3), np.uint8))


def test_baselines_are_found_by_name(tiny_model: Path) -> None:
    for name in BASELINES:
        if name == "zhuo-sim" and find_spec("cv2") is None:
            with pytest.raises(ModelError, match=rf"{name}: .*cv2.*mddnet\[build\]"):
                find_baseline(name)
        else:
            assert find_baseline(name).name == name
    model = find_baseline(str(tiny_model))
    estimate = checked_infer(model, np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    assert estimate.defocus_px is not None and estimate.inv_depth is not None and "tiny 7" in model.name
    with pytest.raises(ModelError, match=r"zhou-sim.*laplacian.*zhuo-sim"):
        find_baseline("zhou-sim")
    with pytest.raises(ModelError, match="no such file"):
        find_baseline("nowhere/model.onnx")
