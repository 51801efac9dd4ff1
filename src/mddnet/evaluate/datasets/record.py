"""Records of public data sets: photos with their published truth, and the evaluation protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mddnet.data.evenly import evenly
from mddnet.errors import CaptureError
from mddnet.evaluate.samples import Options, Sample, Source, sample_known_pixels, seed_of
from mddnet.metrics import Truth, defocus_ordinal_pairs, depth_ordinal_pairs, inv_depth_range
from mddnet.types import BoolArray, Float32Array, InvDepthUnit, UInt8Array

CropChoice = Literal["published", "none"]
CapChoice = float | Literal["published", "none"]
TRUTHS = ("inv_depth", "signed_defocus_px", "defocus_px")  # fields of :class:`DatasetPhoto` with a truth


@dataclass(frozen=True, slots=True, eq=False)
class DatasetPhoto:
    """One photo of a data set with its truths, (H, W) of the photo, NaN where unknown; None if there is none."""

    photo: UInt8Array  # (H, W, 3) uint8, sRGB
    inv_depth: Float32Array | None = None  # in ``unit``, larger is nearer
    unit: InvDepthUnit = "1/m"
    signed_defocus_px: Float32Array | None = None  # CoC diameter, px of the photo, positive behind the plane of focus
    defocus_px: Float32Array | None = None  # CoC diameter, px of the photo

    def truths(self) -> tuple[str, ...]:
        return tuple(name for name in TRUTHS if getattr(self, name) is not None)


@dataclass(frozen=True, slots=True)
class Crop:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` (exclusive) of photos of one size."""

    top: int
    bottom: int
    left: int
    right: int
    height: int  # of the photos
    width: int
    source: str  # publication of the crop


@dataclass(frozen=True, slots=True)
class Protocol:
    """The evaluated pixels of a data set."""

    mask: str  # description of the pixels with a truth
    crop: Crop | None = None  # the evaluated part; None is all
    depth_range_m: tuple[float, float] | None = None  # range of evaluated depths, predictions are clipped to it

    def cap_text(self) -> str:
        if self.depth_range_m is None:
            return "none"
        low, high = self.depth_range_m
        return f"depths from {low:g} to {high:g} m are evaluated, predictions are clipped to this range"

    def crop_text(self) -> str:
        c = self.crop
        if c is None:
            return "none"
        return f"rows {c.top} to {c.bottom - 1}, columns {c.left} to {c.right - 1} ({c.source})"


@dataclass(frozen=True, slots=True)
class Item:
    """A photo of a data set, not read yet."""

    name: str  # unique in the data set
    group: str  # category or scene type of the authors, or the name of the data set
    load: Callable[[], DatasetPhoto]


class MissingFiles(CaptureError):
    """A file or folder that every photo of a data set needs is missing."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: no such file or folder; expected {what}")


@dataclass(frozen=True, slots=True)
class Listing:
    """The photos of a data set in a folder."""

    items: tuple[Item, ...]
    failures: tuple[tuple[str, str], ...] = ()  # file and reason of incomplete items


@dataclass(frozen=True, slots=True)
class Dataset:
    """A public data set, its files and its protocol."""

    name: str  # for ``--dataset``
    title: str
    source: str  # the paper, and the authors' description of the files
    obtain: str  # how to get it
    licence: str
    expects: str  # the layout below the root, one path per line
    protocol: Protocol
    list_items: Callable[[Path], Listing]  # lists the photos below a root; raises CaptureError
    checksums: Mapping[str, str] = field(default_factory=dict)  # MD5 by path below the root, where known
    unverified: str = ""  # part of layout or encoding that is unverified

    def origin(self) -> str:
        """Source and licence, and what is unverified, as text."""
        unverified = f"\nUnverified: {self.unverified}." if self.unverified else ""
        return f"{self.title}: {self.source}. Licence: {self.licence}.{unverified}"

    def instructions(self) -> str:
        """The expected files and how to get them: the end of every error about missing files."""
        return f"Expected layout of {self.title} in --root:\n{self.expects}\nTo get it: {self.obtain}"

    def items(self, root: Path) -> Listing:
        """The photos below ``root``; CaptureError if what every photo needs is missing, or there is no photo."""
        try:
            if not root.is_dir():
                raise MissingFiles(root, "the folder of the data set")
            listing = self.list_items(root)
        except MissingFiles as error:
            raise CaptureError(f"{error}. {self.instructions()}") from error
        if not listing.items:
            why = "".join(f"\n{what}: {reason}" for what, reason in listing.failures[:3])
            raise CaptureError(f"{root}: no photo of {self.title} in it.{why}\n{self.instructions()}")
        return listing

    def chosen_protocol(self, crop: CropChoice, cap_m: CapChoice) -> Protocol:
        """The published protocol, with another crop or cap where one is wanted; ValueError for an invalid one."""
        if crop not in get_args(CropChoice):
            raise ValueError(f"crop is {crop!r}; expected {' or '.join(get_args(CropChoice))}")
        if not (cap_m in ("published", "none") or (isinstance(cap_m, int | float) and cap_m > 0)):
            raise ValueError(f"cap is {cap_m!r}; expected a positive number of metres, published or none")
        limits = self.protocol.depth_range_m
        if cap_m != "published":
            limits = None if cap_m == "none" else ((limits or (1e-3,))[0], float(cap_m))
        return replace(self.protocol, crop=self.protocol.crop if crop == "published" else None, depth_range_m=limits)

    def wrong_checksums(self, root: Path) -> list[tuple[str, str]]:
        """File and reason for each file of ``checksums`` that is there and differs."""
        wrong = []
        for name, expected in self.checksums.items():
            path = root / name
            if path.is_file():
                with path.open("rb") as stream:  # MD5 detects broken downloads only
                    found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
                if found != expected:
                    wrong.append((str(path), f"MD5 {found}; expected {expected}: get the file again"))
        return wrong


def read_item(dataset: Dataset, item: Item, protocol: Protocol) -> DatasetPhoto:
    """Read a photo, and apply crop and cap to its truths.

    CaptureError if a truth or the crop does not match the size of the photo, or no known pixel remains.
    """
    read = item.load()
    height, width = read.photo.shape[:2]
    what = f"{dataset.title}, {item.name}"
    for name in read.truths():
        shape = np.shape(getattr(read, name))[:2]
        if shape != (height, width):
            expected = f"{width} x {height} like the photo"
            raise CaptureError(f"{what}: {name} has {shape[1]} x {shape[0]} pixels; expected {expected}")
    counts = np.ones((height, width), dtype=np.bool_)
    crop = protocol.crop
    if crop is not None:
        if (height, width) != (crop.height, crop.width):
            raise CaptureError(
                f"{what}: {width} x {height} pixels; expected {crop.width} x {crop.height} for the crop of "
                f"{crop.source}; evaluate all pixels with --crop none"
            )
        counts[:] = False
        counts[crop.top : crop.bottom, crop.left : crop.right] = True
    depth_counts = counts
    if read.inv_depth is not None and read.unit == "1/m" and protocol.depth_range_m is not None:
        low, high = protocol.depth_range_m
        with np.errstate(invalid="ignore"):
            depth_counts = counts & (read.inv_depth <= 1.0 / low) & (read.inv_depth >= 1.0 / high)
    result = replace(
        read,
        inv_depth=_only(read.inv_depth, depth_counts),
        signed_defocus_px=_only(read.signed_defocus_px, counts),
        defocus_px=_only(read.defocus_px, counts),
    )
    for name in result.truths():
        if not np.isfinite(getattr(result, name)).any():
            reason = f"{protocol.mask}; crop {protocol.crop_text()}; cap {protocol.cap_text()}"
            raise CaptureError(f"{what}: {name} has no known pixel after mask, crop and cap ({reason})")
    return result


def _only(values: Float32Array | None, where: BoolArray) -> Float32Array | None:
    return None if values is None else np.where(where, values, np.float32(np.nan))


def dataset_source(
    dataset: Dataset, root: Path, protocol: Protocol, options: Options, limit: int | None
) -> tuple[Source, int, list[tuple[str, str]]]:
    """The photos below ``root`` as samples, their number before the limit, and the incomplete items.

    CaptureError as :meth:`Dataset.items`; ValueError for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; expected 1 or more")
    listing = dataset.items(root)
    count = len(listing.items)
    samples = []
    for item in (listing.items[i] for i in evenly(count, limit or count)):
        load = partial(_load, dataset, item, protocol, options)
        samples.append(Sample(f"{dataset.title}, {item.name}", item.name, item.group, item.name, load))
    return Source(dataset.name, dataset.title, samples, averaged="photo"), count, list(listing.failures)


def _load(dataset: Dataset, item: Item, protocol: Protocol, options: Options) -> Truth:
    read = read_item(dataset, item, protocol)
    seed, pairs = seed_of(options.seed, dataset.name, item.name), options.pairs_per_photo
    known: dict[str, Any] = {}
    if read.inv_depth is not None:
        drawn = sample_known_pixels(read.inv_depth, seed)
        rank_mask = np.zeros(read.inv_depth.shape, dtype=np.bool_)
        rank_mask.ravel()[drawn] = True
        known |= {"range": inv_depth_range(read.inv_depth), "depth_indices": drawn, "rank_mask": rank_mask}
        known["depth_pairs"] = depth_ordinal_pairs(read.inv_depth, None, pairs=pairs, seed=seed)
    if read.defocus_px is not None:
        known["defocus_indices"] = sample_known_pixels(read.defocus_px, seed)
        known["defocus_pairs"] = defocus_ordinal_pairs(read.defocus_px, None, pairs=pairs, seed=seed)
    return Truth(
        read.photo,
        read.inv_depth,
        read.unit,
        signed_defocus_px=read.signed_defocus_px,
        defocus_px=read.defocus_px,
        depth_range_m=protocol.depth_range_m,
        **known,
    )
