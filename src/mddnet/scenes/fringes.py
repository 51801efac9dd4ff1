"""Decoding of fringe images: phase by least squares over the steps, fringe order from all frequencies jointly.

With steps delta_n = 2 pi n / N, I_n = a + b cos(phi - delta_n) is linear in (a, b cos phi, b sin phi), and least
squares gives the Fourier coefficient at the first harmonic (Greivenkamp, "Generalized data reduction for heterodyne
interferometry", Opt. Eng. 23, 1984; Zuo et al., "Phase shifting algorithms for fringe projection profilometry: a
review", Opt. Lasers Eng. 109, 2018, section 3). The noise of the phase is sqrt(2/N) sigma / b.

The order of the highest frequency is the one that agrees best with the wrapped phases of all others, weighted by their
noise. This is temporal unwrapping for hierarchical (1, 6, 36) and heterodyne (59, 64, 70) frequencies alike (Zuo et
al., "Temporal phase unwrapping algorithms for fringe projection profilometry: a comparative review", Opt. Lasers Eng.
85, 2016).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mddnet.captures.structured_light import order_distance_rad
from mddnet.errors import RejectedScene
from mddnet.types import BoolArray, Float32Array

SATURATED = 254.5 / 255.0
MIN_MODULATION = 0.01  # modulation, as a share of full scale, below which a pixel counts as unlit
STRONG_MODULATION = 0.03
MAX_MISFIT = 0.6  # residual of the sine fit over the sine, at one pixel; a projector of gamma 2.5 gives 0.35
MAX_PHASE_NOISE_RAD = 0.35
MIN_LIT_SHARE = 0.02
MAX_SATURATED_SHARE = 0.5
SWAP_GAIN = 0.5  # two images count as exchanged if exchanging them back reduces the misfit below this share
MIN_SWAP_MISFIT = 0.04
SAMPLES = 4000
CHUNK_PIXELS = 1 << 17


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """The decoded phase of one frequency."""

    wrapped: Float32Array  # (H, W) float32, -pi..pi
    modulation: Float32Array  # (H, W) float32, b, as a share of full scale
    misfit: Float32Array  # (H, W) float32, root mean square residual of the sine fit over that of the sine
    saturated: BoolArray  # (H, W) bool, where any step is at full scale
    noise: float  # sigma of one image, as a share of full scale
    steps: int  # number of steps N

    @property
    def noise_rad(self) -> Float32Array:
        """(H, W) standard deviation of the phase, sqrt(2/N) sigma / b."""
        return np.asarray(np.sqrt(2.0 / self.steps) * self.noise / np.maximum(self.modulation, 1e-6), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class FringeCode:
    """The projector coordinate of every pixel."""

    position: NDArray[np.float64]  # (H, W) fraction of the projector's width or height in 0..1, NaN where unknown
    noise: Float32Array  # (H, W) float32, its standard deviation from the noise of the images
    modulation: Float32Array  # (H, W) float32, that of the highest frequency, as a share of full scale
    lit: float  # share of the illuminated pixels
    disagreement_rad: float  # median disagreement of the frequencies where lit
    harmonics: float  # median misfit where lit; large for a projector that is not linear in light


def decode_phase(images: Iterable[Float32Array]) -> Phase:
    """Phase and modulation of one frequency from N images (H, W) of equal steps, linear light in 0..1."""
    stack = list(images)
    first, steps = stack[0], len(stack)
    harmonics, angles = _sampling(steps)
    mean, squares = np.zeros(first.shape, np.float64), np.zeros(first.shape, np.float64)
    cosines = np.zeros((harmonics, *first.shape), np.float32)
    sines = np.zeros((harmonics, *first.shape), np.float32)
    saturated = np.zeros(first.shape, bool)
    for angle, image in zip(angles, stack, strict=True):
        mean += image
        squares += np.square(image, dtype=np.float64)
        saturated |= image >= SATURATED
        for k in range(harmonics):
            cosines[k] += image * np.float32(np.cos((k + 1) * angle) * 2 / steps)
            sines[k] += image * np.float32(np.sin((k + 1) * angle) * 2 / steps)
    amplitude = np.hypot(cosines, sines)
    changing = np.maximum(squares / steps - (mean / steps) ** 2, 0)
    fundamental = 0.5 * np.square(amplitude[0], dtype=np.float64)
    misfit = np.sqrt(np.maximum(changing - fundamental, 0) / np.maximum(fundamental, 1e-12))
    freedom = steps - 1 - 2 * harmonics
    noise = 0.0
    if freedom > 0:
        rest = np.maximum(changing - 0.5 * np.square(amplitude, dtype=np.float64).sum(axis=0), 0) * steps / freedom
        noise = float(np.sqrt(np.mean(rest[~saturated]))) if (~saturated).any() else 0.0
    # At least the noise of rounding to 8 bits.
    noise = max(noise, 1 / 255 / np.sqrt(12))
    return Phase(
        np.arctan2(sines[0], cosines[0]), amplitude[0], misfit.astype(np.float32), saturated, float(noise), steps
    )


def _sampling(steps: int) -> tuple[int, NDArray[np.float64]]:
    """Number of harmonics, few enough to leave degrees of freedom for the noise, and angles of the steps."""
    return 1 + min(2, max(0, (steps - 4) // 2)), 2 * np.pi * np.arange(steps) / steps


def check_steps(images: Sequence[Float32Array], files: Sequence[Path], periods: float) -> None:
    """Check the order of the images of one frequency by a sine fit; RejectedScene names two that seem exchanged."""
    steps = len(images)
    values = np.stack([image.ravel() for image in images])
    contrast = values.max(axis=0) - values.min(axis=0)
    usable = (values.max(axis=0) < SATURATED) & (contrast > MIN_MODULATION)
    if usable.sum() < 50:
        return
    threshold = np.quantile(contrast[usable], 0.5)
    chosen = np.flatnonzero(usable & (contrast >= threshold))
    samples = values[:, chosen[:: max(1, len(chosen) // SAMPLES)]].astype(np.float64)
    samples -= samples.mean(axis=0)
    harmonics, angles = _sampling(steps)
    basis = [np.ones(steps)]
    for k in range(1, harmonics + 1):
        basis += [np.cos(k * angles), np.sin(k * angles)]
    model = np.stack(basis, axis=1)
    project = np.eye(steps) - model @ np.linalg.pinv(model)
    total = float(np.square(samples).sum())

    def misfit(order: Sequence[int]) -> float:
        return float(np.sqrt(np.square(project @ samples[list(order)]).sum() / total))

    in_order = misfit(range(steps))
    if in_order < MIN_SWAP_MISFIT:
        return
    best, pair = in_order, (0, 0)
    for i, j in itertools.combinations(range(steps), 2):
        order = list(range(steps))
        order[i], order[j] = j, i
        if (here := misfit(order)) < best:
            best, pair = here, (i, j)
    if best < SWAP_GAIN * in_order and steps > 4:
        raise RejectedScene(
            f"fringe images out of order: with {periods:g} periods, a sine fits better with {files[pair[0]].name} and "
            f"{files[pair[1]].name} exchanged (misfit {best:.3f} instead of {in_order:.3f})"
        )


def fringe_code(phases: Sequence[Phase], periods: Sequence[float]) -> FringeCode:
    """Unwrap the highest frequency with the help of all others; RejectedScene names what is wrong with the images."""
    shape = phases[0].wrapped.shape
    saturated = np.any([p.saturated for p in phases], axis=0)
    if saturated.mean() > MAX_SATURATED_SHARE:
        raise RejectedScene(
            f"fringe images are saturated in {saturated.mean():.0%} of the image, expected <= "
            f"{MAX_SATURATED_SHARE:.0%}; reduce the exposure"
        )
    lit = ~saturated
    for phase in phases:
        lit &= (phase.modulation > MIN_MODULATION) & (phase.noise_rad < MAX_PHASE_NOISE_RAD)
    # A wrong order also counts as noise: if little is lit, judge where the modulation is strong.
    strong = ~saturated & np.all([p.modulation > STRONG_MODULATION for p in phases], axis=0)
    judged = lit if lit.mean() >= MIN_LIT_SHARE else strong
    if judged.mean() >= MIN_LIT_SHARE:
        for phase, count in zip(phases, periods, strict=True):
            middle = float(np.median(phase.misfit[judged]))
            if middle > MAX_MISFIT:
                raise RejectedScene(
                    f"fringe images with {count:g} periods are not sinusoidal: misfit {middle:.2f}, expected <= "
                    f"{MAX_MISFIT}; check their order, and that nothing moved"
                )
    if lit.mean() < MIN_LIT_SHARE:
        raise RejectedScene(
            f"fringes are visible in {lit.mean():.1%} of the image, expected >= {MIN_LIT_SHARE:.0%}; check that the "
            "projector is on and in focus, and the exposure"
        )
    usable = lit.copy()
    for phase in phases:
        usable &= phase.misfit < MAX_MISFIT
    position = np.full(shape, np.nan)
    noise = np.full(shape, np.nan, np.float32)
    off = np.full(shape, np.nan, np.float32)
    chosen = np.flatnonzero(usable.ravel())
    for start in range(0, len(chosen), CHUNK_PIXELS):
        here = chosen[start : start + CHUNK_PIXELS]
        wrapped = [p.wrapped.ravel()[here].astype(np.float64) for p in phases]
        weights = [1.0 / np.square(p.noise_rad.ravel()[here].astype(np.float64)) for p in phases]
        x, variance, apart = _unwrap(wrapped, weights, periods)
        position.ravel()[here], noise.ravel()[here], off.ravel()[here] = x, np.sqrt(variance), apart
    disagreement = float(np.nanmedian(off)) if len(chosen) else 0.0
    allowed = 0.25 * order_distance_rad(tuple(periods)) if len(periods) > 1 else np.inf
    if disagreement > allowed:
        raise RejectedScene(
            f"the fringe frequencies contradict each other by {disagreement:.2f} rad (median), expected <= "
            f"{allowed:.2f}; check the order of frequencies and steps, and that nothing moved"
        )
    with np.errstate(invalid="ignore"):
        wrong = (off > 2 * allowed) | (position < 0) | (position > 1)
    position[wrong], noise[wrong] = np.nan, np.nan
    harmonics = float(np.median([np.median(p.misfit[lit]) for p in phases]))
    return FringeCode(position, noise, phases[-1].modulation, float(lit.mean()), disagreement, harmonics)


def _unwrap(
    wrapped: Sequence[NDArray[np.float64]], weights: Sequence[NDArray[np.float64]], periods: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Position in 0..1, its variance, and the disagreement of the lower frequencies in radians."""
    highest = periods[-1]
    turns = np.mod(wrapped[-1] / (2 * np.pi), 1.0)
    least = np.full(turns.shape, np.inf)
    best = np.zeros(turns.shape)
    for order in range(int(np.ceil(highest))):
        x = (turns + order) / highest
        cost = np.zeros(turns.shape)
        for phase, weight, f in zip(wrapped[:-1], weights[:-1], periods[:-1], strict=True):
            off = f * x - phase / (2 * np.pi)
            off -= np.rint(off)
            cost += weight * off * off
        better = cost < least
        least, best = np.where(better, cost, least), np.where(better, x, best)
    # Combine all frequencies, each unwrapped with this position.
    top, bottom = np.zeros(turns.shape), np.zeros(turns.shape)
    square = np.zeros(turns.shape)
    for phase, weight, f in zip(wrapped, weights, periods, strict=True):
        off = phase / (2 * np.pi) - f * best
        off -= np.rint(off)
        top += weight * f * (f * best + off)
        bottom += weight * f * f
        square += (2 * np.pi * off) ** 2
    variance = 1.0 / (4 * np.pi**2 * np.maximum(bottom, 1e-12))
    return top / np.maximum(bottom, 1e-12), variance, np.sqrt(square / max(1, len(periods) - 1))
