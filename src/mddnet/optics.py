"""The lens law in both directions, and conversions between descriptions of defocus.

For a thin lens the diameter of the circle of confusion (CoC), positive behind the plane of focus, is linear in inverse
depth u = 1/z (z from the principal plane):

    signed_defocus_px = kappa * (u_focus - u),    kappa = A * v / p    [px per 1/m]

with aperture diameter A = f / N, sensor distance v = f * z_focus / (z_focus - f) and pixel pitch p.
Source: geometric optics of the thin lens, as in Pentland, "A New Sense for Depth of Field" (IEEE PAMI 1987), eq. 1-4,
rewritten in inverse depth. All functions accept scalars or arrays unless stated otherwise. The shapes of arrays are
stated in the annotations; ``tests/test_optics.py`` checks them, and nothing does at run time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from mddnet.types import Lens

if TYPE_CHECKING:
    from jaxtyping import Float, Real

    FloatArray: TypeAlias = Float[NDArray[np.floating], "*size"]
    FloatOrArray: TypeAlias = float | FloatArray

DMENET_SIGMA_MAX_PX = 3.275
"""Upper clip of the Gaussian sigma in the evaluation of DMENet (Lee et al., CVPR 2019) on SYNDOF and RTF."""


def sensor_distance_m(focal_mm: float, focus_z_m: float) -> float:
    """Distance v of the sensor from the principal plane when focused at ``focus_z_m``: v = f z / (z - f).

    Args:
        focal_mm: focal length, millimetres, > 0.
        focus_z_m: distance of the plane of focus from the principal plane, metres, > focal length; may be infinite.

    Raises:
        ValueError: if the plane of focus is within the focal length, where no real image forms.

    Example:
        >>> round(sensor_distance_m(50.0, 1.05) * 1000, 3)
        52.5
    """
    f = focal_mm / 1000.0
    if not f > 0:
        raise ValueError(f"focal_mm is {focal_mm}; expected a positive focal length in millimetres")
    if np.isinf(focus_z_m):
        return f
    if not focus_z_m > f:
        raise ValueError(
            f"plane of focus at {focus_z_m} m with a focal length of {focal_mm} mm: expected a distance beyond the "
            "focal length"
        )
    return f * focus_z_m / (focus_z_m - f)


def focus_z_from_sensor_plane_m(focus_m: float, focal_mm: float) -> float:
    """Distance of the plane of focus from the principal plane, given its distance from the *sensor*.

    EXIF and lens barrels measure from the sensor: focus_m = z + v with 1/f = 1/z + 1/v, hence
    z = (D + sqrt(D^2 - 4 f D)) / 2, the larger root (object farther than 2 f).

    Raises:
        ValueError: if focus_m < 4 f, the shortest possible distance between object and sensor.
    """
    f = focal_mm / 1000.0
    if np.isinf(focus_m):
        return focus_m
    if not focus_m >= 4 * f:
        raise ValueError(
            f"focus distance {focus_m} m (from the sensor) with a focal length of {focal_mm} mm: expected at least "
            f"four focal lengths, {4 * f} m; a macro lens needs its distance measured from the principal plane"
        )
    return 0.5 * (focus_m + float(np.sqrt(focus_m * focus_m - 4 * f * focus_m)))


def kappa_px(focal_mm: float, f_number: float, pixel_um: float, focus_z_m: float) -> float:
    """CoC diameter in pixels per dioptre: kappa = A v / p with A = f / N.

    ``pixel_um`` is the pixel pitch of the image at hand; ``focus_z_m`` is measured from the principal plane.

    Example:
        A 50 mm lens at f/2 focused at 1.05 m, 5 um pixels: A = 25 mm, v = 52.5 mm, kappa = 262.5 px per dioptre.

        >>> round(kappa_px(50, 2, 5, 1.05), 6)
        262.5
    """
    if not (f_number > 0 and pixel_um > 0):
        raise ValueError(f"f_number {f_number} and pixel_um {pixel_um}: expected positive numbers")
    aperture_m = focal_mm / 1000.0 / f_number
    return aperture_m * sensor_distance_m(focal_mm, focus_z_m) / (pixel_um * 1e-6)


def lens_kappa_px(lens: Lens, focus_z_m: float = float("inf")) -> float:
    """:func:`kappa_px` of a :class:`~mddnet.types.Lens` whose f, N and pixel pitch are known.

    Raises:
        ValueError: naming the missing facts.
    """
    if lens.focal_mm is None or lens.f_number is None or lens.pixel_um is None:
        missing = [n for n in ("focal_mm", "f_number", "pixel_um") if getattr(lens, n) is None]
        raise ValueError(f"blur in pixels needs {', '.join(missing)} of the lens; give them to Lens(...)")
    return kappa_px(lens.focal_mm, lens.f_number, lens.pixel_um, focus_z_m)


@overload
def signed_defocus_px(inv_depth: float, u_focus: float, kappa: float) -> float: ...
@overload
def signed_defocus_px(inv_depth: FloatArray, u_focus: float, kappa: float) -> FloatArray: ...
def signed_defocus_px(inv_depth: FloatOrArray, u_focus: float, kappa: float) -> FloatOrArray:
    """The lens law: signed CoC diameter in pixels, positive behind the plane of focus. NaN stays NaN."""
    return kappa * (u_focus - inv_depth)


@overload
def inv_depth_from_signed_defocus(signed_px: float, u_focus: float, kappa: float) -> float: ...
@overload
def inv_depth_from_signed_defocus(signed_px: FloatArray, u_focus: float, kappa: float) -> FloatArray: ...
def inv_depth_from_signed_defocus(signed_px: FloatOrArray, u_focus: float, kappa: float) -> FloatOrArray:
    """The inverse of the lens law: u = u_focus - signed_defocus_px / kappa.

    Raises:
        ValueError: if kappa is not positive (a pinhole, where blur does not depend on depth).
    """
    if not kappa > 0:
        raise ValueError(f"kappa is {kappa}; expected > 0: depth cannot be computed from the blur of a pinhole")
    return u_focus - signed_px / kappa


def depth_from_inv_depth_m(inv_depth: FloatArray) -> Float[NDArray[np.float32], "*size"]:
    """Metres from metric inverse depth: 1/u, infinite for u <= 0, NaN for NaN."""
    u = np.asarray(inv_depth, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isnan(u), np.float32(np.nan), np.where(u > 0, 1.0 / u, np.inf)).astype(np.float32)


# --- focus sweeps: the sensor moves, the lens does not --------------------------------------------------------------


def sweep_u_focus(sensor_m: FloatOrArray, focal_mm: float) -> FloatOrArray:
    """Inverse depth of the plane of focus for sensor distance v: u_focus = 1/f - 1/v (exact)."""
    return 1000.0 / focal_mm - 1.0 / sensor_m


# --- light fields -----------------------------------------------------------------------------------------------------


def light_field_kappa_px(
    view_positions: Real[NDArray[Any], "views 2"], weights: Real[NDArray[Any], " views"] | None = None
) -> float:
    """CoC diameter in pixels per (pixel per view) of disparity when the given views are averaged.

    A point whose disparity differs by d from the plane of focus is imaged at the view positions scaled by d. A uniform
    disc of diameter c has a standard deviation of c / 4 per axis, so kappa = 4 x the standard deviation per axis (root
    mean square of the two axes).

    Args:
        view_positions: row and column of the averaged views, in units of one view.
        weights: weight of each view, >= 0; equal by default.
    """
    positions = np.asarray(view_positions, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2 or len(positions) < 2:
        raise ValueError(f"view_positions has shape {positions.shape}; expected (N, 2) with N >= 2")
    if weights is None:
        return float(4.0 * np.sqrt(positions.var(axis=0).mean()))
    share = np.asarray(weights, dtype=np.float64)
    if share.shape != (len(positions),) or (share < 0).any() or not share.sum() > 0:
        raise ValueError(f"weights of shape {share.shape}; expected ({len(positions)},), none negative, some positive")
    share = share / share.sum()
    mean = share @ positions
    return float(4.0 * np.sqrt((share @ (positions - mean) ** 2).mean()))


# --- converters -------------------------------------------------------------------------------------------------------


def sigma_from_diameter(diameter_px: FloatOrArray) -> FloatOrArray:
    """Sigma of the Gaussian with the same variance per axis as a uniform disc of that diameter: c / 4."""
    return diameter_px / 4.0


def diameter_from_sigma(sigma_px: FloatOrArray) -> FloatOrArray:
    """Diameter of the disc with the same variance per axis as a Gaussian of that sigma: 4 sigma."""
    return sigma_px * 4.0


def fraction_from_diameter(diameter_px: FloatOrArray, height: int, width: int) -> FloatOrArray:
    """CoC diameter as a fraction of the image's long side, for reports only."""
    return diameter_px / max(height, width)


def diameter_from_fraction(fraction: FloatOrArray, height: int, width: int) -> FloatOrArray:
    """CoC diameter in pixels from a fraction of the image's long side."""
    return fraction * max(height, width)


def dmenet_encoding_from_diameter(diameter_px: FloatArray) -> FloatArray:
    """DMENet's normalised defocus: sigma clipped at 3.275 px, over 3.275 (Lee et al., CVPR 2019, as evaluated)."""
    return np.clip(sigma_from_diameter(np.asarray(diameter_px)), 0.0, DMENET_SIGMA_MAX_PX) / DMENET_SIGMA_MAX_PX


def diameter_from_dmenet_encoding(encoded: FloatArray) -> FloatArray:
    """CoC diameter in pixels from DMENet's encoding; 1.0 means *at least* 13.1 px, because it is clipped."""
    return np.asarray(diameter_from_sigma(np.asarray(encoded) * DMENET_SIGMA_MAX_PX))


def bokehme_encoding_from_signed(signed_px: FloatArray) -> FloatArray:
    """BokehMe's defocus: signed blur *radius* in pixels, positive in front of the focus (Peng et al., CVPR 2022)."""
    return -np.asarray(signed_px) / 2.0


def signed_from_bokehme_encoding(encoded: FloatArray) -> FloatArray:
    """Signed CoC diameter in pixels from BokehMe's signed radius."""
    return -2.0 * np.asarray(encoded)
