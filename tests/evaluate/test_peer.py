"""What a peer states, and how it is found."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mddnet.errors import ModelError
from mddnet.evaluate.peers import PEER_NAMES, find_peer
from mddnet.evaluate.peers.find import CLASSICAL
from mddnet.evaluate.peers.peer import QUANTITIES, blur_of, checked_answer, inv_depth_of


def test_every_quantity_of_blur_by_hand() -> None:
    values = np.array([[0.2, 0.6]], dtype=np.float32)
    sigma = blur_of({"sigma_px": values})
    assert sigma is not None and sigma.defocus_px is not None
    np.testing.assert_allclose(sigma.defocus_px, [[0.8, 2.4]], rtol=1e-6)
    assert sigma.detected(1.0).tolist() == [[False, True]]  # type: ignore[union-attr]
    encoded = blur_of({"dmenet_sigma": values})
    assert encoded is not None and encoded.defocus_px is not None
    np.testing.assert_allclose(encoded.defocus_px, [[0.2 * 13.1, 0.6 * 13.1]], rtol=1e-6)
    chance = blur_of({"blur_probability": values})
    assert chance is not None and chance.defocus_px is None
    assert chance.detected(99.0).tolist() == [[False, True]]  # type: ignore[union-attr]
    score = blur_of({"blur_score": -values})
    assert score is not None and score.defocus_px is None and score.detected(1.0) is None
    assert blur_of({"inv_depth": values}) is None


def test_depth_in_metres_becomes_inverse_depth() -> None:
    depth = inv_depth_of({"depth_m": np.array([[2.0, 0.5]], dtype=np.float32)})
    assert depth is not None and depth.tolist() == [[0.5, 2.0]]
    assert inv_depth_of({"blur_score": np.zeros((1, 1), np.float32)}) is None
    assert len(QUANTITIES) == 7


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"sigma_px": np.zeros((2, 2), np.float32)}, "expected"),
        ({"defocus_px": np.zeros((2, 3), np.float32)}, "shape"),
        ({"defocus_px": np.full((2, 2), np.nan, np.float32)}, "finite"),
    ],
)
def test_an_answer_that_was_not_announced_is_refused(answer: Any, message: str) -> None:
    peer: Any = SimpleNamespace(name="odd", quantities=("defocus_px",), answer=lambda photo: answer)
    with pytest.raises(ModelError, match=f"odd.*{message}"):
        checked_answer(peer, np.zeros((2, 2, 3), np.uint8))


def test_peers_are_found_by_name(tiny_model: Path) -> None:
    for name in PEER_NAMES:
        if name in CLASSICAL and find_spec("cv2") is None:
            with pytest.raises(ModelError, match=rf"{name}: needs the package cv2.*mddnet\[build\]"):
                find_peer(name)
        else:
            assert find_peer(name).name == name
    model = find_peer(str(tiny_model))
    answer = checked_answer(model, np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    assert set(answer) == {"defocus_px", "inv_depth"} and "tiny 7" in model.name
    with pytest.raises(ModelError, match=r"zhou-sim.*zhuo-sim, karaali-jung, laplacian"):
        find_peer("zhou-sim")
    with pytest.raises(ModelError, match="no such file"):
        find_peer("nowhere/model.onnx")
