from __future__ import annotations

import numpy as np
import pytest
from benchmarks.held_out_frames import held_out_frames, predict_held_out
from tests.support.made_focal_stack import made_stack


def test_neither_ends_nor_neighbours_are_left_out() -> None:
    assert held_out_frames(12) == (2, 6, 10)
    assert held_out_frames(11) == (2, 6)
    for count in range(5, 60):
        out = held_out_frames(count)
        assert 0 not in out and count - 1 not in out and min(np.diff(out), default=2) > 1


@pytest.mark.slow
@pytest.mark.parametrize("values", [None, 3.0 - 0.2 * np.arange(13)])
def test_frames_that_were_not_seen_are_predicted(values: np.ndarray | None) -> None:
    made = made_stack(1.2 * np.arange(13))
    found = predict_held_out(made.frames, values)
    assert found.frames == (2, 6, 10) and len(found.errors) == 3
    assert found.error_fraction < 0.45 and found.sure_error_fraction < 0.45
    # a frame of another location in the sweep is not what the law predicts
    wrong = list(made.frames)
    wrong[2], wrong[10] = wrong[10], wrong[2]
    assert predict_held_out(wrong, values).error_fraction > 1.5 * found.error_fraction
