"""The judge's own measures by hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("torch")

from research.teacher.samples import disparity_offset

from research.teacher import judge


def step(column: int, width: int = 60) -> np.ndarray:
    values = np.zeros((40, width), dtype=np.float32)
    values[:, column:] = 1
    return values


def one(kind: str, place: str, ordinal: float, delta1: float = float("nan")) -> judge.Score:
    missing = float("nan")
    return judge.Score(kind, place, "", ordinal, delta1, missing, missing, missing)


def test_edges_of_the_truth_itself() -> None:
    distance, recall = judge.edge_scores(step(30), step(30))
    assert distance == 0 and recall == 1


def test_an_edge_two_pixels_off() -> None:
    distance, recall = judge.edge_scores(step(32), step(30))
    assert distance == pytest.approx(1.5, abs=0.6)  # an edge of two pixels' width, moved by two
    assert recall == 1


def test_an_edge_far_off_is_missed() -> None:
    distance, recall = judge.edge_scores(step(45), step(30))
    assert distance > 10 and recall == 0


def test_a_flat_prediction_has_no_edge() -> None:
    distance, recall = judge.edge_scores(np.zeros((40, 60), np.float32), step(30))
    assert distance == judge.FAR_PX and recall == 0


def test_a_plane_has_no_edge() -> None:
    plane = np.repeat(np.linspace(0, 1, 40, dtype=np.float32)[:, None], 60, axis=1)
    distance, recall = judge.edge_scores(plane, step(30))
    assert distance == judge.FAR_PX and recall == 0


def test_means_are_over_frames_then_locations_then_kinds() -> None:
    scores = [one("stereo", "a", 1.0), one("stereo", "b", 0.5), one("stereo", "b", 0.7), one("rgbd", "c", 0.4, 0.9)]
    row = judge.row(scores)
    assert row["stereo"] == pytest.approx(0.8)  # (1 + 0.6) / 2
    assert row["ordinal"] == pytest.approx(0.6)  # (0.8 + 0.4) / 2
    assert row["delta1"] == pytest.approx(0.9)


def test_evenly_takes_the_ends() -> None:
    assert judge.evenly(list(range(9)), 3) == [0, 4, 8]  # type: ignore[arg-type]
    assert judge.evenly([1, 2], 3) == [1, 2]  # type: ignore[list-item]


def test_offsets_of_disparity_from_the_notes_of_calibration() -> None:
    assert disparity_offset("Z_mm=160*3740/(3*d+200) with d in px") == pytest.approx(200 / 3)
    assert disparity_offset("f=1500 px, baseline 80 mm, doffs=52 px: Z_mm=f*b/(d+doffs)") == 52
    assert disparity_offset("Z ~ 1/d") == 0
    assert disparity_offset("Z_mm=160*3740/(3*d+dmin), dmin unknown here") is None
