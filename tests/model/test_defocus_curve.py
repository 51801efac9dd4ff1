"""The defocus curve: identity at first, interpolates measured points, keeps the order."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mddnet.config import ModelConfig  # noqa: E402
from mddnet.model.defocus_curve import DefocusCurve  # noqa: E402


def test_curve_is_identity_at_first_and_after_reset() -> None:
    curve, x = DefocusCurve(ModelConfig().curve_knots_px), torch.linspace(0, 40, 81)
    assert torch.allclose(curve(x), x, atol=1e-5)
    curve.fit([0.1, 1.0, 4.0], [0.0, 2.0, 5.0])
    assert not torch.allclose(curve(x), x, atol=0.1)
    curve.reset()
    assert torch.allclose(curve(x), x, atol=1e-5)


def test_curve_interpolates_points() -> None:
    curve = DefocusCurve(ModelConfig().curve_knots_px)
    curve.fit([0.0, 1.0, 4.0, 16.0], [0.0, 2.0, 5.0, 15.0])
    got = curve(torch.tensor([0.0, 0.5, 1.0, 2.0, 4.0, 10.0, 16.0, 20.0]))
    # between the points straight lines, beyond the last slope 1
    assert got.tolist() == pytest.approx([0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 19.0], abs=1e-4)


def test_response_to_sharp_photo_becomes_zero() -> None:
    curve = DefocusCurve(ModelConfig().curve_knots_px)
    curve.fit([0.25, 1.0, 4.0], [0.0, 2.0, 4.0])
    assert curve(torch.tensor([0.0, 0.1, 0.25])).abs().max() < 1e-5


def test_order_is_kept() -> None:
    curve = DefocusCurve(ModelConfig().curve_knots_px)
    curve.fit([0.1, 0.8, 2.4, 3.6, 5.9, 7.6, 12.7, 17.2], [0, 2, 3, 4, 6, 8, 12, 16])
    y = curve(torch.linspace(0, 40, 400))
    assert (y[1:] >= y[:-1]).all() and (y[20:] > y[19:-1]).all()


@pytest.mark.parametrize("answers", [[0.1, 3.0, 2.0], [1.0, 1.0, 2.0], [0.1]])
def test_nonincreasing_response_is_refused(answers: list[float]) -> None:
    with pytest.raises(ValueError, match="expected both to increase"):
        DefocusCurve(ModelConfig().curve_knots_px).fit(answers, [0.0, 2.0, 4.0][: len(answers)])


def test_stretched_values() -> None:
    curve = DefocusCurve(ModelConfig().curve_knots_px)
    curve.stretch(1.5, 4.0)
    got = curve(torch.tensor([0.0, 2.0, 4.0, 8.0, 16.0, 20.0]))
    # beyond 4 px half as much again; beyond the last knot, 16 px, what that gained
    assert got.tolist() == pytest.approx([0.0, 2.0, 4.0, 10.0, 22.0, 26.0], abs=1e-4)
    with pytest.raises(ValueError, match="gain 0"):
        curve.stretch(0, 4.0)
