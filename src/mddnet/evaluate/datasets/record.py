"""What every public data set is read into: photos with the truth that their authors publish, and how it is measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from mddnet.data.evenly import evenly
from mddnet.errors import CaptureError
from mddnet.evaluate.samples import Options, Sample, Source, draw_known, seed_of
from mddnet.metrics import Truth, defocus_ordinal_pairs, depth_ordinal_pairs, inv_depth_range
from mddnet.types import BoolArray, Float32Array, InvDepthUnit, UInt8Array

CropChoice = Literal["published", "none"]
CapChoice = float | Literal["published", "none"]
TRUTHS = ("inv_depth", "signed_defocus_px", "defocus_px")
"""Fields of :class:`DatasetPhoto` that a set may state."""


@dataclass(frozen=True, slots=True, eq=False)
class DatasetPhoto:
    """One photo of a public set with its truths; each is (H, W) of the photo, or None where the set has none.

    Attributes:
        photo: (H, W, 3) uint8, sRGB.
        inv_depth: inverse depth in ``unit``, larger is nearer, NaN where it is not known.
        unit: of ``inv_depth``.
        signed_defocus_px: CoC diameter, px of the photo, positive behind the plane of focus; NaN where not known.
        defocus_px: CoC diameter, px of the photo; NaN where not known. Where the sign is known, it is
            ``abs(signed_defocus_px)``.
    """

    photo: UInt8Array
    inv_depth: Float32Array | None = None
    unit: InvDepthUnit = "1/m"
    signed_defocus_px: Float32Array | None = None
    defocus_px: Float32Array | None = None

    def truths(self) -> tuple[str, ...]:
        """Names of the truths that are there."""
        return tuple(name for name in TRUTHS if getattr(self, name) is not None)


@dataclass(frozen=True, slots=True)
class Crop:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` (exclusive) of photos of one size.

    Attributes:
        height: rows of the photos that it is made for.
        width: columns of them.
        source: where it is from.
    """

    top: int
    bottom: int
    left: int
    right: int
    height: int
    width: int
    source: str

    def words(self) -> str:
        """For the head of a table."""
        return f"rows {self.top} to {self.bottom - 1}, columns {self.left} to {self.right - 1} ({self.source})"


@dataclass(frozen=True, slots=True)
class Protocol:
    """At which pixels a set is measured, as its users do.

    Attributes:
        mask: in words, which pixels have a truth.
        crop: the part that counts, or None for all.
        depth_range_m: depths outside do not count, and predictions are clipped to it; None for no cap.
    """

    mask: str
    crop: Crop | None = None
    depth_range_m: tuple[float, float] | None = None

    def cap_words(self) -> str:
        """For the head of a table."""
        if self.depth_range_m is None:
            return "none"
        low, high = self.depth_range_m
        return f"depths of {low:g} to {high:g} m count, predictions are clipped to them"

    def crop_words(self) -> str:
        """For the head of a table."""
        return "none" if self.crop is None else self.crop.words()


@dataclass(frozen=True, slots=True)
class Item:
    """A photo of a set, not read yet.

    Attributes:
        name: unique in the set.
        group: what the set's authors group it by (a category, a scene type), or the name of the set.
        load: reads it.
    """

    name: str
    group: str
    load: Callable[[], DatasetPhoto]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds of a set.

    Attributes:
        items: the photos, in the order of the set.
        failures: file and reason of what is incomplete.
    """

    items: tuple[Item, ...]
    failures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """A set, its files and its rules.

    Attributes:
        name: what ``--dataset`` takes.
        title: for headings.
        source: the paper, and where the authors describe the files.
        obtain: how to get it.
        licence: what the authors say.
        expects: the layout below the root, one path a line.
        states: the truths it has, of :data:`TRUTHS`.
        protocol: pixels, crop and cap.
        basis: what the layout was read off, and what of it is from memory and unverified.
        list_items: lists the photos of this data set below a root. Raises CaptureError.
        checksums: MD5 by path below the root, where the authors' files are known by one.
        unverified: whether a part of layout or encoding is from memory.
    """

    name: str
    title: str
    source: str
    obtain: str
    licence: str
    expects: str
    states: tuple[str, ...]
    protocol: Protocol
    basis: str
    list_items: Callable[[Dataset, Path], Listing]
    checksums: Mapping[str, str] = field(default_factory=dict)
    unverified: bool = False

    def instructions(self) -> str:
        """What is expected where, and how to get it: the end of every error about missing files."""
        return f"{self.title} lies below --root as\n{self.expects}\nTo get it: {self.obtain}"

    def missing(self, path: Path, what: str) -> CaptureError:
        """The error for a file or folder that is not there."""
        return CaptureError(f"{path}: no such file or folder; expected {what}. {self.instructions()}")

    def items(self, root: Path) -> Listing:
        """The photos below ``root``.

        Raises:
            CaptureError: if the root or what every photo needs is missing, or there is no photo at all.
        """
        if not root.is_dir():
            raise self.missing(root, "the folder of the set")
        listing = self.list_items(self, root)
        if not listing.items:
            why = "".join(f"\n{what}: {reason}" for what, reason in listing.failures[:3])
            raise CaptureError(f"{root}: no photo of {self.title} in it.{why}\n{self.instructions()}")
        return listing

    def chosen_protocol(self, crop: CropChoice, cap_m: CapChoice) -> Protocol:
        """The published protocol, with another crop or cap where one is wanted.

        Raises:
            ValueError: for an unknown crop, or a cap that is not positive.
        """
        if crop not in get_args(CropChoice):
            raise ValueError(f"crop is {crop!r}; expected {' or '.join(get_args(CropChoice))}")
        protocol = self.protocol if crop == "published" else replace(self.protocol, crop=None)
        if cap_m == "none":
            return replace(protocol, depth_range_m=None)
        if cap_m == "published":
            return protocol
        if not (isinstance(cap_m, int | float) and cap_m > 0):
            raise ValueError(f"cap is {cap_m!r}; expected a positive number of metres, published or none")
        low = protocol.depth_range_m[0] if protocol.depth_range_m is not None else 1e-3
        return replace(protocol, depth_range_m=(low, float(cap_m)))

    def wrong_checksums(self, root: Path) -> list[tuple[str, str]]:
        """File and reason for each file of ``checksums`` that is there and differs."""
        wrong = []
        for name, expected in self.checksums.items():
            path = root / name
            if path.is_file() and (found := md5_of(path)) != expected:
                wrong.append((str(path), f"MD5 {found}; expected {expected}: get the file again"))
        return wrong


def md5_of(path: Path) -> str:
    """MD5 of a file, read in pieces: what the authors of sets publish, against broken downloads only."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def read_item(dataset: Dataset, item: Item, protocol: Protocol) -> DatasetPhoto:
    """Read a photo and leave the truths that count: crop and cap applied, sizes checked.

    Raises:
        CaptureError: for a truth of another size than the photo, a photo of another size than the crop is made for, or
            truths of which no pixel is left.
        ImageError: if an image is missing or damaged.
    """
    read = item.load()
    height, width = read.photo.shape[:2]
    what = f"{dataset.title}, {item.name}"
    for name in read.truths():
        shape = np.shape(getattr(read, name))[:2]
        if shape != (height, width):
            raise CaptureError(
                f"{what}: {name} has {shape[1]} x {shape[0]} pixels; expected {width} x {height} like the photo"
            )
    counts = np.ones((height, width), dtype=np.bool_)
    crop = protocol.crop
    if crop is not None:
        if (height, width) != (crop.height, crop.width):
            raise CaptureError(
                f"{what}: {width} x {height} pixels; expected {crop.width} x {crop.height}, which the crop of "
                f"{crop.source} is made for; measure all pixels with --crop none"
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
            raise CaptureError(
                f"{what}: {name} has no known pixel after mask, crop and cap ({protocol.mask}; crop "
                f"{protocol.crop_words()}; cap {protocol.cap_words()})"
            )
    return result


def _only(values: Float32Array | None, where: BoolArray) -> Float32Array | None:
    return None if values is None else np.where(where, values, np.float32(np.nan))


# --- samples ----------------------------------------------------------------------------------------------------------


def dataset_source(
    dataset: Dataset, root: Path, protocol: Protocol, options: Options, limit: int | None
) -> tuple[Source, int, list[tuple[str, str]]]:
    """The photos below ``root`` as samples, how many there are before the limit, and what is incomplete.

    Raises:
        CaptureError: if files that every photo needs are missing.
        ValueError: for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; expected 1 or more")
    listing = dataset.items(root)
    count = len(listing.items)
    items = listing.items if limit is None else tuple(listing.items[i] for i in evenly(count, limit))
    samples = [
        Sample(
            f"{dataset.title}, {item.name}",
            item.name,
            item.group,
            item.name,
            partial(_load, dataset, item, protocol, options),
        )
        for item in items
    ]
    return Source(dataset.name, dataset.title, samples, averaged="photo"), count, list(listing.failures)


def _load(dataset: Dataset, item: Item, protocol: Protocol, options: Options) -> Truth:
    read = read_item(dataset, item, protocol)
    seed, pairs = seed_of(options.seed, dataset.name, item.name), options.pairs_per_photo
    nothing = np.empty(0, dtype=np.int64)
    drawn = nothing if read.inv_depth is None else draw_known(read.inv_depth, seed)
    rank_mask = np.zeros(read.photo.shape[:2], dtype=np.bool_)
    rank_mask.ravel()[drawn] = True
    return Truth(
        read.photo,
        inv_depth=read.inv_depth,
        unit=read.unit,
        range=0.0 if read.inv_depth is None else inv_depth_range(read.inv_depth),
        signed_defocus_px=read.signed_defocus_px,
        defocus_px=read.defocus_px,
        depth_range_m=protocol.depth_range_m,
        rank_mask=rank_mask,
        depth_pairs=None
        if read.inv_depth is None
        else depth_ordinal_pairs(read.inv_depth, None, pairs=pairs, seed=seed),
        defocus_pairs=None
        if read.defocus_px is None
        else defocus_ordinal_pairs(read.defocus_px, None, pairs=pairs, seed=seed),
        drawn_depth=drawn,
        drawn_defocus=nothing if read.defocus_px is None else draw_known(read.defocus_px, seed),
    )
