"""Embedded colour profiles (ICC.1): conversion to sRGB."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from mddnet.color import srgb8_from_linear
from mddnet.photo.samples import srgb8_from_linear_samples, srgb8_from_samples
from mddnet.types import UInt8Array

UNUSABLE_PROFILE = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
PROBES = (64, 128, 192)
PROBE_COLOURS = np.stack(np.meshgrid(*[(0, 51, 102, 153, 204, 255)] * 3), axis=-1).reshape(1, -1, 3).astype(np.uint8)
SRGB_TOLERANCE = 3  # 8-bit levels by which profiles of sRGB from several makers differ


@dataclass(frozen=True, slots=True)
class ColourProfile:
    """A parsed colour profile."""

    profile: ImageCms.ImageCmsProfile
    space: str  # "RGB", "GRAY", "CMYK" or "Lab"

    @classmethod
    def parsed(cls, data: bytes) -> ColourProfile:
        """Parse a profile; raises one of :data:`UNUSABLE_PROFILE` for anything else."""
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        return cls(profile, profile.profile.xcolor_space.strip())

    @property
    def is_srgb(self) -> bool:
        """Whether it changes no colour visibly; its name is not trusted."""
        if self.space != "RGB":
            return False
        converted = np.asarray(self.converted(Image.fromarray(PROBE_COLOURS)), dtype=int)
        return bool(np.abs(converted - PROBE_COLOURS).max() <= SRGB_TOLERANCE)

    def converted(self, image: Image.Image) -> Image.Image:
        """Convert an 8-bit image to sRGB; raises one of :data:`UNUSABLE_PROFILE` if the profile does not match it."""
        source = image if image.mode in {"RGB", "L", "CMYK", "LAB"} else image.convert("RGB")
        if source.mode == "L" and self.space == "RGB":
            source = source.convert("RGB")
        converted = ImageCms.profileToProfile(source, self.profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        assert converted is not None  # None is returned for in-place conversions only
        return converted

    def is_linear(self) -> bool:
        """Whether sample values are proportional to light."""
        if self.space not in {"RGB", "GRAY"}:
            return False
        greys = Image.fromarray(np.array([PROBES], dtype=np.uint8))
        light = np.asarray(self.converted(greys if self.space == "GRAY" else greys.convert("RGB")))[0].astype(int)
        expected = srgb8_from_linear(np.array(PROBES, dtype=np.float32) / 255.0).astype(int)
        return bool(np.abs(light - expected[:, None]).max() <= 2)

    def linear_to_srgb(self) -> NDArray[np.float32]:
        """(3, 3): linear light from the primaries of this profile to those of sRGB; ValueError without primaries."""
        native, srgb = (_primaries(item.profile) for item in (self.profile, SRGB))
        return (np.linalg.inv(srgb) @ native).astype(np.float32)


def srgb8_by_profile(
    samples: NDArray[np.generic], data: bytes | None, linear: bool, name: str, notes: list[str]
) -> UInt8Array:
    """Convert grey, RGB or RGBA samples of any depth to 8-bit sRGB by their colour profile; ImageError if out of range.

    Linear light is encoded before it is reduced to 8 bits, which keeps dark tones apart. ``linear`` means linear light
    with sRGB primaries, whatever the profile states. ``notes`` gets one sentence for each assumption.
    """
    if samples.ndim == 3 and samples.shape[2] == 4:
        colour = srgb8_by_profile(samples[:, :, :3], data, linear, name, notes)
        return np.dstack([colour, srgb8_from_samples(samples[:, :, 3], name, [])])
    if linear:
        notes.append("Read as linear light, as requested.")
        return srgb8_from_linear_samples(samples, name, notes)
    try:
        profile = ColourProfile.parsed(data) if data else None
        if profile is None or profile.is_srgb:
            return srgb8_from_samples(samples, name, notes)
        if profile.is_linear():
            notes.append("Read as linear light, as stated by its colour profile.")
            if profile.space == "RGB" and samples.ndim == 3:
                scale = np.float32(1.0)
                if np.issubdtype(samples.dtype, np.integer):
                    scale = np.float32(1.0 / (256**samples.dtype.itemsize - 1))
                samples = np.maximum((samples.astype(np.float32) * scale) @ profile.linear_to_srgb().T, 0.0)
            return srgb8_from_linear_samples(samples, name, notes)
        return np.asarray(profile.converted(Image.fromarray(srgb8_from_samples(samples, name, notes))))
    except UNUSABLE_PROFILE as error:
        notes.append(f"The embedded colour profile cannot be used and was ignored ({error}).")
        return srgb8_from_samples(samples, name, notes)


def _primaries(profile: ImageCms.core.CmsProfile) -> NDArray[np.float64]:  # type: ignore[name-defined]
    """(3, 3): XYZ of red, green and blue in the columns, relative to D50."""
    colorants = (profile.red_colorant, profile.green_colorant, profile.blue_colorant)
    if any(item is None for item in colorants):
        raise ValueError("it has no primaries")
    return np.array([item[0] for item in colorants if item is not None]).T
