from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mddnet.types import INV_DEPTH_UNITS, Lens


def test_convention_the_four_units_of_inverse_depth() -> None:
    assert INV_DEPTH_UNITS == ("1/m", "1/m from focus", "relative", "ordinal")


@pytest.mark.parametrize("name", ["focal_mm", "f_number", "pixel_um", "focus_m"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, -math.inf])
def test_lens_refuses_impossible_values(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"Lens\.{name} is {value!r}; .*positive"):
        Lens(**{name: value})


def test_only_the_focus_distance_may_be_infinite() -> None:
    assert Lens(focus_m=math.inf).focus_m == math.inf
    for name in ("focal_mm", "f_number", "pixel_um"):
        with pytest.raises(ValueError, match=name):
            Lens(**{name: math.inf})


def test_blur_scale_needs_three_values() -> None:
    assert Lens(focal_mm=50, f_number=2, pixel_um=5).has_blur_scale
    assert not Lens(focal_mm=50, f_number=2, focus_m=1).has_blur_scale
    assert not Lens().has_blur_scale


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Lens().focal_mm = 3  # type: ignore[misc]


positive = st.none() | st.floats(1e-3, 1e6)


@given(positive, positive, positive, positive | st.just(math.inf))
def test_lens_round_trips_through_json(f: float | None, n: float | None, p: float | None, d: float | None) -> None:
    lens = Lens(f, n, p, d)
    assert Lens.from_json(json.loads(json.dumps(lens.to_json(), allow_nan=False))) == lens


@pytest.mark.parametrize(
    ("data", "error"), [({"zoom": 3.0}, TypeError), ({"focal_mm": "long"}, ValueError), ({"focal_mm": -1}, ValueError)]
)
def test_damaged_json_of_lens_is_refused(data: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        Lens.from_json(data)
