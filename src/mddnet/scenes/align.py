"""Alignment of focal stacks: removes focus breathing and hand shake by one similarity transform per frame.

Neighbouring frames differ little in blur, so pairs at distances 1, 2 and 4 are registered (robust Lucas-Kanade on
blurred, variance-stabilised luminance, coarse to fine, with gain and offset). A least-squares problem turns the
redundant pairs into a transform per frame; their disagreement is the measured residual. Parallax of a moving camera is
removed by an additional smooth displacement (:func:`undo_parallax`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.color import linear_from_srgb8
from mddnet.cores import worker_threads
from mddnet.errors import RejectedScene
from mddnet.scenes.frame_file import FrameFile
from mddnet.types import BoolArray, Float32Array, UInt8Array

Pixel = TypeVar("Pixel", np.float32, np.uint8)

LINEAR_OF_BYTE = linear_from_srgb8(np.arange(256, dtype=np.uint8))
WORK_WIDTH = 480
PAIR_DISTANCES = (1, 2, 4)
MIN_CORRELATION = 0.7
MAX_RESIDUAL_PX = 2.0
MAX_RESIDUAL_OF_WIDTH = 0.002  # the limit for frames of more than 1000 px, which are registered at a lower resolution
MIN_COMMON_SHARE = 0.5
FLOW_SIDE_PX = 960  # long side at which parallax is measured
FLOW_WINDOW = 0.03  # sigma of the averaging window of parallax displacements, as a share of the width


@dataclass(frozen=True, slots=True)
class Similarity:
    """A similarity about the image centre: z -> factor z + shift, z = x + iy in pixels, factor = scale e^(i angle)."""

    factor: complex
    shift: complex

    def matrix(self, width: int, height: int) -> NDArray[np.float64]:
        """As (2, 3) matrix on pixel coordinates with the origin at the centre of the first pixel."""
        a, b = self.factor.real, self.factor.imag
        cx, cy = (width - 1) / 2, (height - 1) / 2
        return np.array(
            [[a, -b, cx - a * cx + b * cy + self.shift.real], [b, a, cy - b * cx - a * cy + self.shift.imag]]
        )


@dataclass(frozen=True, slots=True)
class PairFit:
    """A registered pair: the map from pixels of the first frame to the second, and their correlation after the warp."""

    transform: Similarity
    correlation: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """Transforms of all frames of a stack relative to the reference frame."""

    reference: int  # index of the reference frame, whose transform is the identity
    transforms: tuple[Similarity, ...]  # per frame, the map from pixels of the reference to pixels of the frame
    residual_px: float  # root mean square disagreement of the registered pairs at the image corners
    lowest_correlation: float  # lowest correlation of two neighbours after alignment

    @property
    def log_magnifications(self) -> NDArray[np.float64]:
        """(N,) logarithms of the magnification of the frames: focusing nearer magnifies, by most lenses."""
        return np.log([abs(transform.factor) for transform in self.transforms])


@dataclass(frozen=True, slots=True)
class AlignedStack:
    """Frames on one grid."""

    frames: Sequence[UInt8Array]  # (H, W, 3) uint8 each, sRGB, warped to the reference and cropped to the common area
    alignment: Alignment
    common_share: float  # area after the crop over that of a frame
    rows: slice  # the crop, in pixels of the reference
    columns: slice


def scaled_about(
    image: NDArray[Pixel], zoom: float, centre: tuple[float, float] | None = None, shift: complex = 0j
) -> NDArray[Pixel]:
    """Remove a magnification about ``centre`` (x, y; by default the middle) and a displacement x + iy, in px."""
    height, width = image.shape[:2]
    if abs(zoom - 1) < 1e-9 and not shift:
        return image
    x, y = ((width - 1) / 2, (height - 1) / 2) if centre is None else centre
    off = complex(x - (width - 1) / 2, y - (height - 1) / 2)
    matrix = Similarity(complex(zoom), off * (1 - zoom) + shift).matrix(width, height)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, dtype=image.dtype)


def common_area(
    shape: tuple[int, ...],
    centre: tuple[float, float],
    zooms: NDArray[np.float64],
    shifts_px: NDArray[np.complex128] | complex = 0j,
) -> tuple[slice, slice]:
    """Rows and columns of the reference inside all frames, which are magnified about (x, y) and displaced by x + iy."""
    slices, at = [], np.asarray(shifts_px)
    for middle, size, shifts in ((centre[1], shape[0], at.imag), (centre[0], shape[1], at.real)):
        first = np.ceil(((0 - middle - shifts) / zooms + middle).max() - 1e-6)
        last = np.floor(((size - 1 - middle - shifts) / zooms + middle).min() + 1e-6)
        slices.append(slice(max(0, int(first)), min(size, int(last) + 1)))
    return slices[0], slices[1]


def register_pair(first: Float32Array, second: Float32Array, start: Similarity | None = None) -> PairFit:
    """Register two (H, W) images of variance-stabilised luminance by robust Gauss-Newton, coarse to fine.

    Minimises sum w (g second(T x) + o - first(x))^2 with Tukey weights w, gain g and offset o (Lucas and Kanade, IJCAI
    1981, in the form of Baker and Matthews, IJCV 2004, section 2), from ``start`` or the identity.
    """
    height, width = first.shape
    levels = max(1, int(np.log2(max(height, width) / 24)))
    factor, shift = (start.factor, start.shift) if start else (1 + 0j, 0j)
    correlation = 0.0
    for level in range(levels - 1, -1, -1):
        size = (max(2, round(width / 2**level)), max(2, round(height / 2**level)))
        ratio = size[0] / width
        fit = _gauss_newton(_shrunk(first, size), _shrunk(second, size), factor, shift * ratio, 12 if level else 8)
        factor, shift, correlation = fit[0], fit[1] / ratio, fit[2]
    return PairFit(Similarity(factor, shift), correlation)


def _shrunk(image: Float32Array, size: tuple[int, int]) -> Float32Array:
    return np.asarray(cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (0, 0), 1.5), np.float32)


def _gauss_newton(
    first: Float32Array, second: Float32Array, factor: complex, shift: complex, iterations: int
) -> tuple[complex, complex, float]:
    height, width = first.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    xc, yc = xs - (width - 1) / 2, ys - (height - 1) / 2
    gain, offset, correlation = 1.0, 0.0, 0.0
    ones = np.ones_like(second)
    for _ in range(iterations):
        matrix = Similarity(factor, shift).matrix(width, height)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(second, matrix, (width, height), flags=flags)
        inside = cv2.warpAffine(ones, matrix, (width, height), flags=flags) > 0.999
        if inside.sum() < 0.25 * inside.size:
            break
        gx, gy = cv2.Scharr(warped, cv2.CV_32F, 1, 0) / 32, cv2.Scharr(warped, cv2.CV_32F, 0, 1) / 32
        inside = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        r = (first - gain * warped - offset)[inside].astype(np.float64)
        scale = 1.4826 * float(np.median(np.abs(r))) * 4.685 + 1e-6
        w = np.clip(1 - (r / scale) ** 2, 0, None) ** 2
        gxi, gyi, xi, yi = gx[inside], gy[inside], xc[inside], yc[inside]
        along, across = gain * (gxi * xi + gyi * yi), gain * (gyi * xi - gxi * yi)
        jac = np.stack([along, across, gain * gxi, gain * gyi, warped[inside], ones[inside]]).astype(np.float64)
        normal = (jac * w) @ jac.T
        step = np.linalg.lstsq(normal, (jac * w) @ r, rcond=1e-10)[0]
        gain, offset = gain + float(step[4]), offset + float(step[5])
        # The gradients are those of the warped image, so the step is applied before the current warp.
        ds, dt = complex(1 + step[0], step[1]), complex(step[2], step[3])
        factor, shift = factor * ds, factor * dt + shift
        a, b = first[inside].astype(np.float64), warped[inside].astype(np.float64)
        correlation = float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0
        if abs(dt) < 0.005 and abs(ds - 1) * width < 0.01:
            break
    return factor, shift, correlation


class NotAligned(RejectedScene):
    """Two neighbouring frames that do not show the same: their numbers are ``first`` and ``first + 1``."""

    def __init__(self, message: str, first: int) -> None:
        super().__init__(message)
        self.first = first


def registration_image(frame: UInt8Array) -> tuple[Float32Array, float]:
    """The small luminance by which a frame is registered, and its size over that of the frame."""
    height, width = frame.shape[:2]
    ratio = min(1.0, WORK_WIDTH / max(height, width))
    linear = cv2.LUT(frame, LINEAR_OF_BYTE)
    if ratio < 1:
        linear = cv2.resize(linear, (round(width * ratio), round(height * ratio)), interpolation=cv2.INTER_AREA)
    return stabilised_luminance(np.asarray(linear, np.float32)), ratio


def estimate_alignment(frames: Sequence[UInt8Array]) -> Alignment:
    """Transform of every frame, in order of focus, relative to the middle one; RejectedScene if they do not align."""
    images = [registration_image(frame) for frame in frames]
    return alignment_of([image for image, _ in images], images[0][1])


def alignment_of(small: Sequence[Float32Array], ratio: float, threads: int = 1) -> Alignment:
    """:func:`estimate_alignment` from the images of :func:`registration_image`."""
    count, reference = len(small), len(small) // 2
    with worker_threads(threads) as pool:
        neighbours = list(pool.map(register_pair, small, small[1:]))
        lowest = min(p.correlation for p in neighbours)
        if lowest < MIN_CORRELATION:
            i = int(np.argmin([p.correlation for p in neighbours]))
            raise NotAligned(
                f"frames {i} and {i + 1} do not align: correlation {lowest:.2f} after registration, "
                f"expected >= {MIN_CORRELATION}",
                i,
            )
        links = [(i, i + 1, fit) for i, fit in enumerate(neighbours)]
        ends = [(i, i + distance) for distance in PAIR_DISTANCES[1:] for i in range(count - distance)]
        fits = pool.map(lambda p: register_pair(small[p[0]], small[p[1]], _chained(neighbours[p[0] : p[1]])), ends)
        links += [(i, j, fit) for (i, j), fit in zip(ends, fits, strict=True) if fit.correlation >= MIN_CORRELATION]
    height, width = small[0].shape
    transforms, residual = _solve_links(links, count, reference, width, height)
    residual /= ratio
    most = max(MAX_RESIDUAL_PX, MAX_RESIDUAL_OF_WIDTH * max(height, width) / ratio)
    if residual > most:
        raise RejectedScene(
            f"registered pairs contradict each other by {residual:.2f} px at the corners, expected <= {most:.3g} px"
        )
    full = tuple(Similarity(t.factor, t.shift / ratio) for t in transforms)
    return Alignment(reference, full, residual, lowest)


def _chained(fits: Sequence[PairFit]) -> Similarity:
    """The transforms of following pairs, one after the other."""
    whole = fits[0].transform
    for fit in fits[1:]:
        t = fit.transform
        whole = Similarity(t.factor * whole.factor, t.factor * whole.shift + t.shift)
    return whole


def largest_group(small: Sequence[Float32Array]) -> list[int]:
    """Numbers of the frames of the largest group of which each aligns with the one before it."""
    groups: list[list[int]] = []
    for i, image in enumerate(small):
        nearest_first = sorted(groups, key=lambda group: -group[-1])
        found = (g for g in nearest_first if register_pair(small[g[-1]], image).correlation >= MIN_CORRELATION)
        group = next(found, None)
        if group is None:
            groups.append([i])
        else:
            group.append(i)
    return max(groups, key=len)


def stabilised_luminance(linear: Float32Array, ratio: float = 1.0) -> Float32Array:
    """Square root of the luminance of (H, W, 3) linear light, which equalises shot noise, reduced by ``ratio``."""
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    small = cv2.resize(luminance, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA) if ratio < 1 else luminance
    return np.sqrt(np.maximum(small, 0)).astype(np.float32)


def _solve_links(
    links: Sequence[tuple[int, int, PairFit]], count: int, reference: int, width: int, height: int
) -> tuple[list[Similarity], float]:
    """Least squares over all pairs: log factor first, then shifts with the factors held."""
    a = np.zeros((len(links), count), dtype=np.complex128)
    rhs = np.zeros(len(links), dtype=np.complex128)
    for row, (i, j, fit) in enumerate(links):
        a[row, j], a[row, i], rhs[row] = 1, -1, np.log(fit.transform.factor)
    free = [k for k in range(count) if k != reference]
    logs = np.zeros(count, dtype=np.complex128)
    logs[free] = np.linalg.lstsq(a[:, free], rhs, rcond=None)[0]
    factors = np.exp(logs)
    for row, (i, j, fit) in enumerate(links):
        a[row, j], a[row, i], rhs[row] = 1, -factors[j] / factors[i], fit.transform.shift
    shifts = np.zeros(count, dtype=np.complex128)
    shifts[free] = np.linalg.lstsq(a[:, free], rhs, rcond=None)[0]
    corners = np.array([complex(sx * width, sy * height) / 2 for sx in (-1, 1) for sy in (-1, 1)])
    squares = []
    for i, j, fit in links:
        through = fit.transform.factor * (factors[i] * corners + shifts[i]) + fit.transform.shift
        squares.append(np.abs(through - (factors[j] * corners + shifts[j])) ** 2)
    solved = [Similarity(complex(f), complex(s)) for f, s in zip(factors, shifts, strict=True)]
    return solved, float(np.sqrt(np.mean(squares)))


def common_rectangle(valid: BoolArray) -> tuple[slice, slice]:
    """A large rectangle of True: crops the border line with the largest share of False, again and again.

    A hole inside is reached from the edge that needs the fewest lines.
    """
    top, bottom, left, right = 0, valid.shape[0], 0, valid.shape[1]
    while top < bottom and left < right:
        block = valid[top:bottom, left:right]
        holes = [1 - float(line.mean()) for line in (block[0], block[-1], block[:, 0], block[:, -1])]
        if max(holes) > 0:
            edge, lines = int(np.argmax(holes)), 1
        elif block.all():
            return slice(top, bottom), slice(left, right)
        else:
            row, column = np.argwhere(~block)[0]
            depth = [row + 1, bottom - top - row, column + 1, right - left - column]
            edge, lines = int(np.argmin(depth)), int(min(depth))
        top, bottom = top + lines * (edge == 0), bottom - lines * (edge == 1)
        left, right = left + lines * (edge == 2), right - lines * (edge == 3)
    raise RejectedScene("the aligned frames share no common area")


def apply_alignment(
    frames: Sequence[UInt8Array], alignment: Alignment, kept: FrameFile | None = None, threads: int = 1
) -> AlignedStack:
    """Warp every frame to the reference and crop all to their common area, or RejectedScene below half a frame.

    The warped frames are ``kept`` in a file, or in memory.
    """
    height, width = frames[0].shape[:2]
    ys, xs = (grid.astype(np.float32) for grid in np.ogrid[0:height, 0:width])

    def map_of(i: int) -> tuple[Float32Array, Float32Array]:
        return _through(alignment.transforms[i], xs, ys, width, height)

    return _warped(frames, map_of, alignment, slice(0, height), slice(0, width), kept, threads)


Displacements = Sequence[tuple[Float32Array, Float32Array]]
"""Smooth displacements (dx, dy) of every frame against the reference, px of a small image, and 0 for the reference."""


def parallax_of(aligned: AlignedStack) -> Displacements:
    """Parallax of a moving camera, which shifts near objects against far ones, at ``FLOW_SIDE_PX``.

    Optical flow between aligned neighbours (dense inverse search, Kroeger et al., ECCV 2016) is averaged over windows
    of ``FLOW_WINDOW`` of the width, weighted by texture and by agreement of the two directions, and chained to the
    reference. The window must be wide: growing blur moves opposite edges of an object apart, and a more local flow
    would remove the blur itself.
    """
    count, reference = len(aligned.frames), aligned.alignment.reference
    ratio = flow_ratio(aligned)
    lights = (stabilised_luminance(linear_from_srgb8(frame), ratio) for frame in aligned.frames)
    smooth = [(np.clip(cv2.GaussianBlur(light, (0, 0), 1.5), 0, 1) * 255).astype(np.uint8) for light in lights]
    ys, xs = np.mgrid[0 : smooth[0].shape[0], 0 : smooth[0].shape[1]].astype(np.float32)
    found = {reference: (np.zeros_like(xs), np.zeros_like(xs))}
    for start, stop, step in ((reference, count - 1, 1), (reference, 0, -1)):
        px, py = xs, ys
        for i in range(start, stop, step):
            flow = _smooth_flow(smooth[i], smooth[i + step])
            dx, dy = (cv2.remap(f, px, py, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for f in flow)
            px, py = px + dx, py + dy
            found[i + step] = (px - xs, py - ys)
    return [found[i] for i in range(count)]


def flow_ratio(aligned: AlignedStack) -> float:
    """Size of the images of :func:`parallax_of` over that of the frames."""
    return min(1.0, FLOW_SIDE_PX / max(aligned.frames[0].shape[:2]))


def undo_parallax(
    frames: Sequence[UInt8Array],
    aligned: AlignedStack,
    moved: Displacements,
    kept: FrameFile | None = None,
    threads: int = 1,
) -> AlignedStack:
    """Align the frames as captured again, with the displacements of :func:`parallax_of` removed."""
    height, width = frames[0].shape[:2]
    rows, columns = aligned.rows, aligned.columns
    ys, xs = np.mgrid[rows.start : rows.stop, columns.start : columns.stop].astype(np.float32)
    ratio = flow_ratio(aligned)

    def map_of(i: int) -> tuple[Float32Array, Float32Array]:
        dx, dy = moved[i]
        if ratio != 1:
            dx, dy = (cv2.resize(off, xs.shape[::-1]) / ratio for off in (dx, dy))
        return _through(aligned.alignment.transforms[i], xs + dx, ys + dy, width, height)

    return _warped(frames, map_of, aligned.alignment, rows, columns, kept, threads)


def _through(
    transform: Similarity, xs: Float32Array, ys: Float32Array, width: int, height: int
) -> tuple[Float32Array, Float32Array]:
    """Where pixels, (H, W) or a row of columns and a column of rows, are in a frame."""
    m = transform.matrix(width, height).astype(np.float32)
    return m[0, 0] * xs + (m[0, 1] * ys + m[0, 2]), m[1, 0] * xs + (m[1, 1] * ys + m[1, 2])


def _warped(
    frames: Sequence[UInt8Array],
    map_of: Callable[[int], tuple[Float32Array, Float32Array]],
    alignment: Alignment,
    rows: slice,
    columns: slice,
    kept: FrameFile | None,
    threads: int,
) -> AlignedStack:
    """Sample every frame at its map, which covers ``rows`` and ``columns`` of the reference, and crop."""
    height, width = frames[0].shape[:2]
    warped: dict[int, UInt8Array] = {}

    def warp(i: int) -> BoolArray:
        x, y = map_of(i)
        pixels = np.asarray(cv2.remap(frames[i], x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
        if kept is None:
            warped[i] = pixels
        else:
            kept.write(i, pixels)
        # A tolerance for rounding keeps the outermost pixels of the reference.
        return (x > -1e-3) & (x < width - 1 + 1e-3) & (y > -1e-3) & (y < height - 1 + 1e-3)

    with worker_threads(threads) as pool:
        valid = np.ones((rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
        for inside in pool.map(warp, range(len(frames))):
            valid &= inside
    kept_rows, kept_columns = common_rectangle(valid)
    share = (kept_rows.stop - kept_rows.start) * (kept_columns.stop - kept_columns.start) / (height * width)
    if share < MIN_COMMON_SHARE:
        raise RejectedScene(f"the aligned frames share {share:.0%} of the image, expected >= {MIN_COMMON_SHARE:.0%}")
    cropped: Sequence[UInt8Array]
    if kept is None:
        cropped = [np.ascontiguousarray(warped.pop(i)[kept_rows, kept_columns]) for i in range(len(frames))]
    else:
        cropped = kept.cropped(kept_rows, kept_columns)
    return AlignedStack(
        cropped,
        alignment,
        share,
        slice(rows.start + kept_rows.start, rows.start + kept_rows.stop),
        slice(columns.start + kept_columns.start, columns.start + kept_columns.stop),
    )


def _smooth_flow(first: UInt8Array, second: UInt8Array) -> tuple[Float32Array, Float32Array]:
    """(dx, dy) in pixels from ``first`` to ``second``, smooth, and 0 without texture."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(2)
    there, back = search.calc(first, second, None), search.calc(second, first, None)
    height, width = first.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    at = (xs + there[:, :, 0], ys + there[:, :, 1])
    apart = ((there + cv2.remap(back, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)) ** 2).sum(axis=2)
    picture = first.astype(np.float32)
    gx, gy = cv2.Scharr(picture, cv2.CV_32F, 1, 0) / 32, cv2.Scharr(picture, cv2.CV_32F, 0, 1) / 32
    weight = np.minimum(gx * gx + gy * gy, 100.0) * np.exp(-apart / 0.25)
    sigma = FLOW_WINDOW * width
    total = cv2.GaussianBlur(weight, (0, 0), sigma) + 1.0
    dx, dy = (cv2.GaussianBlur(there[:, :, k] * weight, (0, 0), sigma) / total for k in (0, 1))
    return dx, dy
