from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mddnet.errors import RejectedScene
from mddnet.scenes.fringes import check_steps, decode_phase, fringe_code
from mddnet.types import Float32Array

SIZE = (24, 40)


def positions() -> np.ndarray:
    y, x = np.indices(SIZE)
    return 0.05 + 0.9 * (x + 0.3 * y) / (SIZE[1] + 0.3 * SIZE[0])


def images(periods: float, steps: int, noise: float = 0.0, gamma: float = 1.0, seed: int = 0) -> list[Float32Array]:
    """Cosines on a plane, step n delayed by n / steps of a period."""
    rng = np.random.default_rng(seed)
    out = []
    for n in range(steps):
        light = 0.5 + 0.45 * np.cos(2 * np.pi * (periods * positions() - n / steps))
        out.append((0.8 * light**gamma + noise * rng.standard_normal(SIZE)).astype(np.float32))
    return out


def names(count: int) -> list[Path]:
    return [Path(f"{n}.png") for n in range(count)]


def test_the_phase_of_four_steps_matches_the_textbook() -> None:
    # 0, 90, 180, 270 degrees: tan phi = (I1 - I3) / (I0 - I2)
    four = [np.full((1, 1), value, np.float32) for value in (0.6, 0.7, 0.4, 0.3)]
    phase = decode_phase(four)
    assert phase.wrapped[0, 0] == pytest.approx(np.arctan2(0.4, 0.2))
    assert phase.modulation[0, 0] == pytest.approx(np.hypot(0.4, 0.2) / 2)


@pytest.mark.parametrize("periods", [(1, 6, 30), (1, 9), (13, 15, 16), (1,)])
def test_every_choice_of_frequencies_gives_the_position(periods: tuple[float, ...]) -> None:
    code = fringe_code([decode_phase(images(f, 6)) for f in periods], periods)
    assert np.abs(code.position - positions()).max() < 1e-4
    assert code.lit == 1


def test_the_stated_noise_is_that_of_the_positions() -> None:
    periods = (1, 6, 30)
    code = fringe_code([decode_phase(images(f, 12, noise=0.02, seed=int(f))) for f in periods], periods)
    scatter = float((code.position - positions()).std())
    assert scatter == pytest.approx(float(np.median(code.noise)), rel=0.15)


def test_many_steps_are_robust_to_projector_gamma() -> None:
    periods = (1, 6, 30)
    off = {}
    for steps in (4, 12):
        code = fringe_code([decode_phase(images(f, steps, gamma=2.2)) for f in periods], periods)
        off[steps] = float(np.abs(code.position - positions()).max())
    assert 10 * off[12] < off[4]


def test_saturated_and_unlit_pixels_stay_unknown() -> None:
    bright, dark = (slice(0, 5), slice(0, 5)), (slice(10, 15), slice(0, 5))
    phases = []
    for f in (1, 6):
        here = images(f, 6, noise=0.004, seed=int(f))
        for image in here:
            image[bright] = np.minimum(1.0, 3 * image[bright] + 0.5)
            image[dark] = 0.02
        phases.append(decode_phase(here))
    code = fringe_code(phases, (1, 6))
    assert np.isnan(code.position[dark]).all()
    assert np.isnan(code.position[bright]).mean() > 0.9
    rest = np.ones(SIZE, bool)
    rest[bright], rest[dark] = False, False
    assert np.isfinite(code.position[rest]).all()


def test_two_exchanged_images_are_named() -> None:
    swapped = images(6, 8, noise=0.004)
    swapped[2], swapped[3] = swapped[3], swapped[2]
    with pytest.raises(RejectedScene, match=r"6 periods, .* 2.png and 3.png exchanged"):
        check_steps(swapped, names(8), 6)
    check_steps(images(6, 8, noise=0.004), names(8), 6)
    check_steps(images(6, 8, noise=0.004, gamma=2.2), names(8), 6)


@pytest.mark.parametrize("damage", ["reversed", "frequencies", "moved"])
def test_images_that_contradict_each_other_are_rejected(damage: str) -> None:
    stacks = [images(f, 8, noise=0.004, seed=int(f)) for f in (1, 6, 30)]
    if damage == "reversed":
        stacks[1].reverse()
    elif damage == "frequencies":
        stacks[1], stacks[2] = stacks[2], stacks[1]
    else:
        stacks[2] = [np.roll(image, 3, axis=1) for image in stacks[2]]
        stacks[1] = [np.roll(image, -6, axis=1) for image in stacks[1]]
    with pytest.raises(RejectedScene, match="contradict each other"):
        fringe_code([decode_phase(s) for s in stacks], (1, 6, 30))


def test_shuffled_images_are_not_sinusoidal() -> None:
    rng = np.random.default_rng(3)
    shuffled = [images(6, 8)[k] for k in rng.permutation(8)]
    with pytest.raises(RejectedScene, match=r"not sinusoidal|contradict"):
        fringe_code([decode_phase(images(1, 8)), decode_phase(shuffled)], (1, 6))


def test_a_dark_projector_and_an_overexposed_one_are_rejected() -> None:
    rng = np.random.default_rng(0)
    dark = [(0.05 + 0.01 * rng.standard_normal(SIZE)).astype(np.float32) for _ in range(8)]
    with pytest.raises(RejectedScene, match="projector is on"):
        fringe_code([decode_phase(dark)], (1,))
    bright = [np.minimum(1.0, 2.5 * image) for image in images(1, 8)]
    with pytest.raises(RejectedScene, match="saturated in"):
        fringe_code([decode_phase(bright)], (1,))
