"""WebDataset shards of sets: tar files in which every set holds its four maps, so that no other file is needed.

Files of a set in a shard, all named ``KEY.FIELD``, in this order:

    sharp.jpg (or .png)     all-in-focus image, sRGB, the bytes of the scene's file
    focused.jpg (or .png)   focused image, sRGB, the bytes of the scene's file
    inv_depth.png           inverse depth, 16-bit codec of :mod:`mddnet.scenes.store`
    signed_defocus_px.png   CoC diameter by the lens law, px, negative in front of the plane of focus; its size is the
                            defocus map
    confidence.png          8-bit confidence of the inverse depth, 255 is sure, 0 where it is unknown
    json                    what is known of the set; the same keys and types in every set

Both 16-bit maps read alike: code 0 is unknown, code 1 infinitely far, codes 2..65535 are ``low + (code - 2) * step``.
By the lens law the defocus is linear in inverse depth, so both maps have the *same codes*; only ``low`` and ``step``
differ (``step`` of the defocus is 0 or negative), and ``infinity`` says what code 1 is worth. So the defocus map is as
exact as the depth map: its error is at most half its step.
"""

from __future__ import annotations

import io
import json
import math
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mddnet.errors import CaptureError
from mddnet.io.json_fields import shown
from mddnet.photo.image_file import opened_image
from mddnet.scenes.shard_source import NOT_REACHED, GuardedStream, is_address, open_shard
from mddnet.scenes.store import (
    CODE_FIRST,
    CODE_INFINITY,
    CODE_TYPES,
    CODE_UNKNOWN,
    LARGEST_VALUE,
    NOT_ITS_FIELDS,
    UNREADABLE_JSON,
)
from mddnet.types import Float32Array, UInt8Array

SHARD_FORMAT = 1
MAP_FIELDS = ("inv_depth.png", "signed_defocus_px.png")
CONFIDENCE_FIELD = "confidence.png"
IMAGE_SUFFIXES = ("jpg", "png")
MAX_MEMBER_BYTES = 512 * 2**20
MAX_SET_BYTES = 2**30
MAKE_AGAIN = "make the shard again"
ODD_HEADER = (ValueError, OverflowError, IndexError, KeyError)
"""What tarfile raises for a header whose numbers are none."""
_TEXT_KEYS = ("group", "scene", "place", "split", "capture", "source", "licence", "provenance", "unit")
_NUMBER_KEYS = ("u_focus", "kappa_px")


@dataclass(frozen=True, slots=True, eq=False)
class SetSample:
    """One set of a shard, decoded.

    Attributes:
        key: unique name of the set.
        sharp: (H, W, 3) uint8, sRGB.
        focused: (H, W, 3) uint8, sRGB.
        inv_depth: (H, W) float32 in ``info["unit"]``, NaN where unknown.
        signed_defocus_px: (H, W) float32, px of these images, NaN where unknown.
        confidence: (H, W) float32 in [0, 1], 0 where unknown.
        info: content of the set's ``json``: ``place``, ``split``, ``unit``, ``u_focus``, ``kappa_px``, ``source``,
            ``licence``, ``provenance`` and so on.
    """

    key: str
    sharp: UInt8Array
    focused: UInt8Array
    inv_depth: Float32Array
    signed_defocus_px: Float32Array
    confidence: Float32Array
    info: dict[str, Any]

    @property
    def defocus_px(self) -> Float32Array:
        """(H, W) float32, the CoC diameter in px, >= 0, NaN where unknown."""
        return np.abs(self.signed_defocus_px)


def set_key(group: str, scene: str, frame: int) -> str:
    """Key of a set: letters, digits, ``_`` and ``-`` of the names stay, any other byte becomes ``~XX``.

    WebDataset ends a key at the first dot, so a scene named ``cup.2`` must not keep it; no two scenes share a key.

    Example:
        >>> set_key("rgbd", "cup.2", 7)
        'rgbd+cup~2E2+0007'
    """

    def plain(name: str) -> str:
        data = name.encode("utf-8", "surrogateescape").decode("latin-1")
        return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"~{ord(found[0]):02X}", data)

    return f"{plain(group)}+{plain(scene)}+{frame:04d}"


# --- reading ----------------------------------------------------------------------------------------------------------


class BrokenShard(CaptureError):
    """A shard that could not be read to its end; at a web address, asking again may help."""


def read_shard(path: Path | str) -> Iterator[SetSample]:
    """The sets of a shard, one after the other, straight from the tar file: nothing is unpacked to the disk.

    Args:
        path: the shard, or its ``http(s)`` address.

    Raises:
        CaptureError: naming the file and the member: for a member that is no plain file (a link, a device, a folder),
            whose name has a folder, ``..`` or a root in it, that is too large, repeated or damaged, and for a set that
            lacks a file.
    """
    for fields in raw_sets(str(path)):
        assert fields is not None  # all are wanted
        try:
            yield decode_set(fields)
        except CaptureError as error:
            raise CaptureError(f"{path}: {error}") from error


def raw_sets(
    source: str, wanted: Callable[[int], bool] = lambda index: True
) -> Iterator[dict[str, bytes | str] | None]:
    """The sets of a shard as file contents by field, and ``__key__``, not decoded.

    Args:
        source: path or ``http(s)`` address of the shard.
        wanted: whether to read a set, by its number in the shard; None is given for one that is not.

    Raises:
        CaptureError: as :func:`read_shard`, of what concerns the tar file.
        BrokenShard: if the shard cannot be opened or ends early.
    """
    try:
        with open_shard(source) as stream:
            guarded = GuardedStream(stream, MAX_MEMBER_BYTES + 2**20)
            # A file can be skipped through, what comes over a wire cannot.
            with tarfile.open(fileobj=guarded, mode="r|" if is_address(source) else "r:") as tar:
                yield from _raw_sets_of(tar, source, wanted, guarded)
    except (tarfile.TarError, EOFError, *ODD_HEADER, *NOT_REACHED) as error:
        raise BrokenShard(f"{source}: not a whole tar file ({error}); copy or make the shard again") from error


def _raw_sets_of(
    tar: tarfile.TarFile, source: str, wanted: Callable[[int], bool], guarded: GuardedStream
) -> Iterator[dict[str, bytes | str] | None]:
    fields: dict[str, bytes | str] = {}
    names: set[str] = set()
    last_key, index, size = "", -1, 0
    for member in tar:
        guarded.next_member()
        key, field = _checked_name(source, member)
        if key != last_key:
            if index >= 0:
                yield fields or None
            fields, names, last_key, index, size = {}, set(), key, index + 1, 0
            if wanted(index):
                fields["__key__"] = key
        if field in names:
            raise CaptureError(f"{source}: {member.name} is there twice; make the shard again")
        names.add(field)
        size += member.size
        if size > MAX_SET_BYTES:
            raise CaptureError(f"{source}: set {key} has more than {MAX_SET_BYTES} bytes; make the shard again")
        if fields:
            content = tar.extractfile(member)
            assert content is not None  # it is a regular file
            fields[field] = content.read()
        tar.members = []  # type: ignore[attr-defined]  # it would keep the headers of a whole shard in memory
    if index >= 0:
        yield fields or None


def _checked_name(path: str, member: tarfile.TarInfo) -> tuple[str, str]:
    """Key and field of a member that is a plain file with a plain name."""
    if not member.isreg() or member.issparse():
        raise CaptureError(
            f"{path}: {member.name!r} is no plain file (a link, a folder or a device); expected files only"
        )
    key, _, field = member.name.partition(".")
    if not key or not field or set(member.name) & set("/\\\0") or ".." in member.name:
        raise CaptureError(f"{path}: name {member.name!r}; expected KEY.FIELD without folders")
    if not 0 <= member.size <= MAX_MEMBER_BYTES:
        raise CaptureError(f"{path}: {member.name} has {member.size} bytes; expected at most {MAX_MEMBER_BYTES}")
    return key, field


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSet:
    """One set of a shard as its files, each decoded when it is asked for.

    Attributes:
        fields: file contents by field, and ``__key__``.
        info: content of the set's ``json``.

    Every method raises CaptureError, naming the set and the field that is missing or damaged.
    """

    fields: Mapping[str, Any]
    info: dict[str, Any]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> EncodedSet:
        """The set of these files; its ``json`` is read and checked."""
        key = str(fields.get("__key__", ""))
        return cls(fields, _read_info(key, _field(fields, key, "json")))

    @property
    def key(self) -> str:
        """Unique name of the set."""
        return str(self.fields.get("__key__", ""))

    def image(self, name: Literal["sharp", "focused"]) -> UInt8Array:
        """(H, W, 3) uint8, sRGB."""
        names = [f"{name}.{suffix}" for suffix in IMAGE_SUFFIXES]
        field = next((each for each in names if each in self.fields), names[0])
        return _image(self.key, field, _field(self.fields, self.key, field)).astype(np.uint8, copy=False)

    def inv_depth(self) -> Float32Array:
        """(H, W) float32 in ``info["unit"]``, NaN where unknown."""
        return self._map(MAP_FIELDS[0])

    def signed_defocus_px(self) -> Float32Array:
        """(H, W) float32, px of these images, NaN where unknown."""
        return self._map(MAP_FIELDS[1])

    def confidence(self) -> Float32Array:
        """(H, W) float32 in [0, 1], 0 where unknown."""
        codes = _image(self.key, CONFIDENCE_FIELD, _field(self.fields, self.key, CONFIDENCE_FIELD), "L")
        return codes.astype(np.float32) / 255.0

    def _map(self, field: str) -> Float32Array:
        return _read_map(self.key, field, _field(self.fields, self.key, field))


def decode_set(sample: Mapping[str, Any]) -> SetSample:
    """Decode one set: also the function to ``map`` over ``webdataset.WebDataset(shards)``.

    Args:
        sample: file contents by field, and ``__key__``, as webdataset gives them without ``decode``.

    Raises:
        CaptureError: naming the set and the field that is missing or damaged.
    """
    one = EncodedSet.of(sample)
    made = SetSample(
        one.key,
        one.image("sharp"),
        one.image("focused"),
        one.inv_depth(),
        one.signed_defocus_px(),
        one.confidence(),
        one.info,
    )
    check_one_size(one.key, made.sharp, made.focused, made.inv_depth, made.signed_defocus_px, made.confidence)
    return made


def check_one_size(key: str, *maps: np.ndarray[Any, Any]) -> None:
    """Refuse maps of a set that do not lie on one another.

    Raises:
        CaptureError: if their heights and widths differ.
    """
    shapes = {array.shape[:2] for array in maps}
    if len(shapes) != 1:
        raise CaptureError(f"{key}: maps of {sorted(shapes)}; expected one size")


def _field(sample: Mapping[str, Any], key: str, field: str) -> bytes:
    data = sample.get(field)
    if not isinstance(data, bytes):
        found = ", ".join(sorted(str(name) for name in sample if not str(name).startswith("__")))
        raise CaptureError(f"{key}: no bytes of {field}; expected a set of `mddnet shards`, got {found}")
    return data


def _read_info(key: str, data: bytes) -> dict[str, Any]:
    try:
        info = json.loads(data)
    except UNREADABLE_JSON as error:
        raise CaptureError(f"{key}: json is not readable ({error})") from error
    if not isinstance(info, dict) or info.get("format") != SHARD_FORMAT:
        raise CaptureError(f"{key}: json is no description of format {SHARD_FORMAT}; make the shards again")
    for name in _TEXT_KEYS:
        if not isinstance(info.get(name), str):
            raise CaptureError(f"{key}: {name} is {shown(info.get(name))}; expected a text")
    for name in _NUMBER_KEYS:
        if not isinstance(info.get(name), float) or not math.isfinite(info[name]):
            raise CaptureError(f"{key}: {name} is {shown(info.get(name))}; expected a finite number")
    return info


def _image(key: str, field: str, data: bytes, mode: str = "RGB") -> UInt8Array:
    with opened_image(io.BytesIO(data), MAKE_AGAIN, name=f"{key}: {field}") as image:
        return np.asarray(image.convert(mode))


def _read_map(key: str, field: str, data: bytes) -> Float32Array:
    """A 16-bit map with its scale."""
    with opened_image(io.BytesIO(data), MAKE_AGAIN, name=f"{key}: {field}", what="PNG") as image:
        text = image.info.get("mddnet")
        codes = np.asarray(image)
    try:
        meta = json.loads(text) if isinstance(text, str) else {}
        low, step = float(meta["low"]), float(meta["step"])
        infinity = float(meta.get("infinity", 0.0 if meta["unit"] == "1/m" else low))
        quantity = meta["quantity"]
    except (*NOT_ITS_FIELDS, RecursionError) as error:
        raise CaptureError(f"{key}: {field} carries no mddnet scale (tEXt 'mddnet')") from error
    if quantity != field.removesuffix(".png") or codes.ndim != 2 or codes.dtype not in CODE_TYPES:
        raise CaptureError(
            f"{key}: {field} holds {shown(quantity)}, {codes.dtype} of shape {codes.shape}; expected 16 bits"
        )
    if not all(abs(number) < LARGEST_VALUE for number in (low, step, infinity)):
        raise CaptureError(
            f"{key}: {field} has low {low}, step {step}, infinity {infinity}; expected numbers below {LARGEST_VALUE:g}"
        )
    values = low + (codes.astype(np.float64) - CODE_FIRST) * step
    values[codes == CODE_INFINITY] = infinity
    values[codes == CODE_UNKNOWN] = np.nan
    return values.astype(np.float32)
