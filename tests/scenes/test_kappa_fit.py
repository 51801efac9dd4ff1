from __future__ import annotations

import numpy as np
import pytest
from tests.support.made_focal_stack import MadeStack, made_stack

from mddnet.color import linear_from_srgb8, srgb_from_linear
from mddnet.scenes.kappa_fit import (
    ErrorTable,
    bank_diameters,
    blur_bank,
    encoded_luminance,
    error_table,
    fit_even_sweep,
    fit_uneven_sweep,
    half_kappas,
    rerender_cost,
)


def table_of(made: MadeStack, largest_px: float = 25.0) -> ErrorTable:
    bank = blur_bank(linear_from_srgb8(made.sharp), largest_px)
    encoded = [encoded_luminance(linear_from_srgb8(f)) for f in made.frames]
    weight = np.ones(made.index.shape, dtype=np.float32)
    return error_table(encoded, bank, made.index, weight)


def test_bank_starts_at_no_blur_and_covers_the_largest() -> None:
    diameters = bank_diameters(20.0)
    assert diameters[0] == 0 and diameters[-1] >= 20 and (np.diff(diameters) > 0).all()
    assert np.diff(diameters).max() <= 0.08 * 20


def test_blur_is_in_linear_light() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2
    sharp = np.repeat(board[:, :, None], 3, axis=2).astype(np.float32)
    bank = blur_bank(sharp, 12.0)
    # Half of the light is 0.735 in sRGB, not 0.5.
    assert bank.encoded[-1][32, 32] == pytest.approx(float(srgb_from_linear(np.array([0.5]))[0]), abs=0.01)


def test_render_mixes_the_two_nearest_discs() -> None:
    bank = blur_bank(linear_from_srgb8(made_stack(np.arange(3.0), 30, 40).sharp), 4.0)
    diameter = np.full((30, 40), 0.5 * (bank.diameters_px[4] + bank.diameters_px[5]))
    np.testing.assert_allclose(bank.render(diameter), 0.5 * (bank.encoded[4] + bank.encoded[5]), atol=1e-6)
    np.testing.assert_allclose(bank.render(np.zeros((30, 40))), bank.encoded[0], atol=1e-6)


@pytest.mark.parametrize("kappa", [0.6, 1.6])
def test_the_blur_per_frame_of_an_even_sweep_is_recovered(kappa: float) -> None:
    made = made_stack(kappa * np.arange(9))
    table = table_of(made)
    fit = fit_even_sweep(table)
    assert fit.kappa_px_per_frame == pytest.approx(kappa, rel=0.04)
    assert fit.error_fraction < 0.25
    np.testing.assert_allclose(np.diff(fit.positions_px), fit.kappa_px_per_frame)


def test_known_dioptres_are_followed() -> None:
    dioptres = np.array([0.0, 0.3, 1.0, 1.4, 2.2, 2.4, 3.0])
    fit = fit_even_sweep(table_of(made_stack(3.0 * dioptres)), dioptres)
    assert (fit.positions_px[-1] - fit.positions_px[0]) / 3.0 == pytest.approx(3.0, rel=0.04)


def test_uneven_steps_are_found_and_even_ones_kept() -> None:
    positions = np.array([0.0, 0.8, 1.6, 2.4, 3.2, 5.2, 7.2, 9.2, 11.2])
    table = table_of(made_stack(positions))
    even = fit_even_sweep(table)
    uneven = fit_uneven_sweep(table, even)
    assert uneven.error_fraction < 0.8 * even.error_fraction
    assert (np.diff(uneven.positions_px) > 0).all()
    span = uneven.positions_px[-1]
    assert span == pytest.approx(11.2, rel=0.1)
    assert uneven.positions_px[4] / span == pytest.approx(3.2 / 11.2, abs=0.07)

    straight = table_of(made_stack(1.2 * np.arange(9)))
    same = fit_uneven_sweep(straight, fit_even_sweep(straight))
    np.testing.assert_allclose(same.positions_px, 1.2 * np.arange(9), atol=0.5)


def test_halves_agree_on_an_even_sweep_and_differ_on_an_uneven_one() -> None:
    first, second = half_kappas(table_of(made_stack(1.2 * np.arange(13))))
    assert first == pytest.approx(second, rel=0.1)
    steps = np.concatenate([[0.0], np.cumsum([0.6] * 6 + [1.8] * 6)])
    first, second = half_kappas(table_of(made_stack(steps)))
    assert second > 2 * first


def test_pixels_without_weight_are_ignored() -> None:
    made = made_stack(1.2 * np.arange(7), 60, 90)
    frames = [f.copy() for f in made.frames]
    for frame in frames:
        frame[:20] = 255
    bank = blur_bank(linear_from_srgb8(made.sharp), 12.0)
    encoded = [encoded_luminance(linear_from_srgb8(f)) for f in frames]
    weight = np.ones(made.index.shape, dtype=np.float32)
    weight[:20] = 0
    index = made.index.copy()
    index[:20] = np.nan
    table = error_table(encoded, bank, index, weight)
    assert np.isfinite(table.squares).all()
    assert table.weights.sum() == pytest.approx(40 * 90)
    assert fit_even_sweep(table).kappa_px_per_frame == pytest.approx(1.2, rel=0.08)


def test_cost_is_lowest_at_the_true_depth() -> None:
    positions = 1.2 * np.arange(7)
    made = made_stack(positions, 60, 90)
    bank = blur_bank(linear_from_srgb8(made.sharp), 12.0)
    cost = rerender_cost([encoded_luminance(linear_from_srgb8(f)) for f in made.frames], bank, positions, positions)
    assert cost.shape == (7, 60, 90)
    middle = cost[:, 10:50, 38:52].mean(axis=(1, 2))
    assert middle.argmin() == 3 and middle[3] < 0.2 * middle[0]
