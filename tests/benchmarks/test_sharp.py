"""Measures of sharp photos: edges with known distance, means over locations."""

import math

import numpy as np
import pytest
from benchmarks.settings import macro
from benchmarks.sharp import EDGE_STEP, Answer, edge_measures, predicted_edges, within_error

from mddnet.metrics import near_depth_edges


def true_edges(share: np.ndarray) -> np.ndarray:
    return near_depth_edges(share, EDGE_STEP, 0)


def step_at(column: int) -> np.ndarray:
    share = np.zeros((40, 60), np.float32)
    share[:, column:] = 1
    return share


@pytest.mark.parametrize("off", [0, 2, 8])
def test_distance_of_an_edge_that_is_off_by_some_pixels(off: int) -> None:
    truth = true_edges(step_at(30))
    assert truth.sum() == 2 * 40  # both neighbours of the step
    distance, recall = edge_measures(predicted_edges(step_at(30 + off)), truth, np.ones((40, 60), bool))
    assert distance == pytest.approx(max(off - 0.5, 0), abs=0.51)
    assert recall == (1.0 if off <= 3 else 0.0)


def test_a_flat_map_finds_no_edge_and_a_flat_truth_measures_none() -> None:
    everywhere = np.ones((40, 60), bool)
    none = np.zeros((40, 60), bool)
    assert edge_measures(none, true_edges(step_at(30)), everywhere) == (10.0, 0.0)
    assert all(math.isnan(value) for value in edge_measures(none, none, everywhere))


def test_unknown_depth_has_no_edge() -> None:
    share = step_at(30)
    share[:, 25:30] = np.nan
    assert not true_edges(share).any()


def test_a_gentle_slope_is_no_edge() -> None:
    slope = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (40, 1))
    assert not true_edges(slope).any()
    assert not predicted_edges(slope).any()


def test_means_count_locations_alike() -> None:
    def answer(location: str, distance: float, ratio: float) -> Answer:
        return Answer("stereo", location, np.zeros(1, np.float32), distance, 1.0, math.nan, ratio, 0.0, 0.0)

    answers = [answer("a", 1, 0.5), answer("a", 3, 2.0), answer("b", 4, math.nan)]
    assert macro(answers, "edge_distance_px") == 3
    assert within_error(answers, "field_log_ratio") == 0.5
    assert math.isnan(macro(answers, "field_error_deg"))
