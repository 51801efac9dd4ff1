"""Records of public data sets: photos with their published truth, and the evaluation protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from mddnet.data.evenly import evenly
from mddnet.errors import CaptureError
from mddnet.evaluate.samples import Options, Sample, Source, sample_known_pixels, seed_of
from mddnet.metrics import Truth, defocus_ordinal_pairs, depth_ordinal_pairs, inv_depth_range

CropChoice = Literal["published", "none"]
CapChoice = float | Literal["published", "none"]
Failure = tuple[str, str]  # a file or photo, and the reason why it cannot be evaluated
MAPS = ("inv_depth", "signed_defocus_px", "defocus_px")  # fields of a truth that a data set may publish


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
    load: Callable[[], Truth]  # with those of :data:`MAPS` that are known; raises CaptureError


ListItems = Callable[[Path], Iterable[Item | Failure]]  # lists the photos below a root; raises CaptureError


class MissingFiles(CaptureError):
    """A file or folder that every photo of a data set needs is missing."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: no such file or folder; expected {what}")


class Listing(NamedTuple):
    """The photos of a data set in a folder."""

    items: list[Item]
    failures: list[Failure]  # incomplete items


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
    list_items: ListItems
    checksums: Mapping[str, str] = field(default_factory=dict)  # MD5 by path below the root, where known
    unverified: str = ""  # part of layout or encoding that is unverified

    @classmethod
    def of(cls, name: str, entry: dict[str, Any]) -> Dataset:
        """The data set of an entry of ``datasets.toml``."""
        module, _, function = entry.pop("reader").partition(":")
        list_items = getattr(import_module(f"mddnet.evaluate.datasets.{module}"), function)
        crop, limits = entry.pop("crop", None), entry.pop("depth_range_m", None)
        protocol = Protocol(entry.pop("mask"), crop and Crop(**crop), limits and tuple(limits))
        return cls(name, protocol=protocol, list_items=list_items, **entry)

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
            found = list(self.list_items(root))
        except MissingFiles as error:
            raise CaptureError(f"{error}. {self.instructions()}") from error
        items, failures = [f for f in found if isinstance(f, Item)], [f for f in found if not isinstance(f, Item)]
        if not items:
            why = "".join(f"\n{what}: {reason}" for what, reason in failures[:3])
            raise CaptureError(f"{root}: no photo of {self.title} in it.{why}\n{self.instructions()}")
        return Listing(items, failures)

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

    def wrong_checksums(self, root: Path) -> list[Failure]:
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


def read_item(dataset: Dataset, item: Item, protocol: Protocol) -> Truth:
    """Read a photo, and apply crop and cap to its maps.

    CaptureError if a map or the crop does not match the size of the photo, or no known pixel remains.
    """
    read = item.load()
    height, width = read.photo.shape[:2]
    what = f"{dataset.title}, {item.name}"
    maps = {name: values for name in MAPS if (values := getattr(read, name)) is not None}
    for name, values in maps.items():
        if values.shape != (height, width):
            found = " x ".join(map(str, values.shape[1::-1]))
            raise CaptureError(f"{what}: {name} has {found} pixels; expected {width} x {height} like the photo")
    counts = np.ones((height, width), dtype=np.bool_)
    if (crop := protocol.crop) is not None:
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
    for name, values in maps.items():
        maps[name] = np.where(depth_counts if name == "inv_depth" else counts, values, np.float32(np.nan))
        if not np.isfinite(maps[name]).any():
            reason = f"{protocol.mask}; crop {protocol.crop_text()}; cap {protocol.cap_text()}"
            raise CaptureError(f"{what}: {name} has no known pixel after mask, crop and cap ({reason})")
    return replace(read, **maps)


def dataset_source(
    dataset: Dataset, root: Path, protocol: Protocol, options: Options, limit: int | None
) -> tuple[Source, int, list[Failure]]:
    """The photos below ``root`` as samples, their number before the limit, and the incomplete items.

    CaptureError as :meth:`Dataset.items`; ValueError for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; expected 1 or more")
    items, failures = dataset.items(root)
    samples = []
    for item in (items[i] for i in evenly(len(items), limit or len(items))):
        load = partial(_load, dataset, item, protocol, options)
        samples.append(Sample(f"{dataset.title}, {item.name}", item.name, item.group, item.name, load))
    return Source(dataset.name, dataset.title, samples, averaged="photo"), len(items), failures


def _load(dataset: Dataset, item: Item, protocol: Protocol, options: Options) -> Truth:
    read = read_item(dataset, item, protocol)
    seed, pairs = seed_of(options.seed, dataset.name, item.name), options.pairs_per_photo
    known: dict[str, Any] = {"depth_range_m": protocol.depth_range_m}
    if read.inv_depth is not None:
        drawn = sample_known_pixels(read.inv_depth, seed)
        rank_mask = np.zeros(read.inv_depth.shape, dtype=np.bool_)
        rank_mask.ravel()[drawn] = True
        known |= {"range": inv_depth_range(read.inv_depth), "depth_indices": drawn, "rank_mask": rank_mask}
        known["depth_pairs"] = depth_ordinal_pairs(read.inv_depth, None, pairs=pairs, seed=seed)
    if read.defocus_px is not None:
        known["defocus_indices"] = sample_known_pixels(read.defocus_px, seed)
        known["defocus_pairs"] = defocus_ordinal_pairs(read.defocus_px, None, pairs=pairs, seed=seed)
    return replace(read, **known)
