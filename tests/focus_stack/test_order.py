from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2", reason="stacks need OpenCV (extra build)")

from tests.support.made_focal_stack import made_stack

from mddnet.focus_stack.order import frame_order, near_to_far_by_breathing
from mddnet.scenes.align import Alignment, Similarity, registration_image


def test_a_shuffled_sweep_is_found_and_a_good_order_kept() -> None:
    small = [registration_image(frame)[0] for frame in made_stack(1.5 * np.arange(12)).frames]
    assert frame_order(small) == list(range(12))
    mixed = np.random.default_rng(3).permutation(12)
    found = [int(mixed[i]) for i in frame_order([small[i] for i in mixed])]
    assert found in (list(range(12)), list(range(12))[::-1])
    assert frame_order(small[:2]) == [0, 1]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1.02, 1.01, 1.0, 0.99], True),
        ([0.98, 0.99, 1.0, 1.01], False),
        ([1.001, 1.0, 1.0, 0.999], None),
        ([1.02, 0.95, 1.05, 1.0], None),
    ],
)
def test_magnification_tells_the_direction_if_it_follows_the_order(sizes: list[float], expected: bool | None) -> None:
    alignment = Alignment(2, tuple(Similarity(complex(size), 0j) for size in sizes), 0.1, 0.9)
    assert near_to_far_by_breathing(alignment) is expected
