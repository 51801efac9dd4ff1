"""WebDataset shards of sets: tar files in which every set holds its four maps, so that no other file is needed.

Files of a set in a shard, all named ``KEY.FIELD``, in this order:

    sharp.jpg (or .png)     all-in-focus image, sRGB, the bytes of the scene's file
    focused.jpg (or .png)   focused image, sRGB, the bytes of the scene's file
    inv_depth.png           inverse depth, 16-bit codec of :mod:`mddnet.sets.store`
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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mddnet.errors import CaptureError
from mddnet.sets.store import CODE_FIRST, CODE_INFINITY, CODE_UNKNOWN, UNREADABLE_IMAGE, UNREADABLE_JSON
from mddnet.types import Float32Array, UInt8Array

SHARD_FORMAT = 1
IMAGE_FIELDS = ("sharp", "focused")
MAP_FIELDS = ("inv_depth.png", "signed_defocus_px.png")
CONFIDENCE_FIELD = "confidence.png"
IMAGE_SUFFIXES = ("jpg", "png")
MAX_MEMBER_BYTES = 512 * 2**20
_TEXT_KEYS = ("group", "scene", "place", "split", "source", "licence", "provenance", "unit")
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


def read_shard(path: Path) -> Iterator[SetSample]:
    """The sets of a shard, one after the other, straight from the tar file: nothing is unpacked to the disk.

    Raises:
        CaptureError: naming the file and the member: for a member that is no plain file (a link, a device, a folder),
            whose name has a folder, ``..`` or a root in it, that is too large, repeated or damaged, and for a set that
            lacks a file.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            fields: dict[str, bytes | str] = {}
            for member in tar:
                key, field = _checked_name(path, member)
                if fields and fields["__key__"] != key:
                    yield _decoded(fields, path)
                    fields = {}
                if field in fields:
                    raise CaptureError(f"{path}: {member.name} is there twice; make the shard again")
                stream = tar.extractfile(member)
                assert stream is not None  # it is a regular file
                fields |= {"__key__": key, field: stream.read()}
            if fields:
                yield _decoded(fields, path)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise CaptureError(f"{path}: not a whole tar file ({error}); copy or make the shard again") from error


def _checked_name(path: Path, member: tarfile.TarInfo) -> tuple[str, str]:
    """Key and field of a member that is a plain file with a plain name."""
    if not member.isreg() or member.issparse():
        raise CaptureError(
            f"{path}: {member.name!r} is no plain file (a link, a folder or a device); expected files only"
        )
    key, _, field = member.name.partition(".")
    if not key or not field or set(member.name) & set("/\\\0") or ".." in member.name:
        raise CaptureError(f"{path}: name {member.name!r}; expected KEY.FIELD without folders")
    if member.size > MAX_MEMBER_BYTES:
        raise CaptureError(f"{path}: {member.name} has {member.size} bytes; expected at most {MAX_MEMBER_BYTES}")
    return key, field


def _decoded(fields: Mapping[str, Any], path: Path) -> SetSample:
    try:
        return decode_set(fields)
    except CaptureError as error:
        raise CaptureError(f"{path}: {error}") from error


def decode_set(sample: Mapping[str, Any]) -> SetSample:
    """Decode one set: also the function to ``map`` over ``webdataset.WebDataset(shards)``.

    Args:
        sample: file contents by field, and ``__key__``, as webdataset gives them without ``decode``.

    Raises:
        CaptureError: naming the set and the field that is missing or damaged.
    """
    key = str(sample.get("__key__", ""))
    info = _read_info(key, _field(sample, key, "json"))
    images = []
    for name in IMAGE_FIELDS:
        field = next((f"{name}.{suffix}" for suffix in IMAGE_SUFFIXES if f"{name}.{suffix}" in sample), f"{name}.jpg")
        images.append(_image(key, field, _field(sample, key, field)).astype(np.uint8))
    maps = [_read_map(key, field, _field(sample, key, field)) for field in MAP_FIELDS]
    confidence = _image(key, CONFIDENCE_FIELD, _field(sample, key, CONFIDENCE_FIELD), "L")
    shapes = {array.shape[:2] for array in (*images, confidence)} | {array.shape for array in maps}
    if len(shapes) != 1:
        raise CaptureError(f"{key}: maps of {sorted(shapes)}; expected one size")
    return SetSample(key, images[0], images[1], maps[0], maps[1], confidence.astype(np.float32) / 255.0, info)


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
            raise CaptureError(f"{key}: {name} is {info.get(name)!r}; expected a text")
    for name in _NUMBER_KEYS:
        if not isinstance(info.get(name), float) or not math.isfinite(info[name]):
            raise CaptureError(f"{key}: {name} is {info.get(name)!r}; expected a finite number")
    return info


def _image(key: str, field: str, data: bytes, mode: str = "RGB") -> UInt8Array:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert(mode))
    except UNREADABLE_IMAGE as error:
        raise CaptureError(f"{key}: {field} is not a readable image ({error})") from error


def _read_map(key: str, field: str, data: bytes) -> Float32Array:
    """A 16-bit map with its scale."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            text = image.info.get("mddnet")
            codes = np.asarray(image)
    except UNREADABLE_IMAGE as error:
        raise CaptureError(f"{key}: {field} is not a readable PNG ({error})") from error
    try:
        meta = json.loads(text) if isinstance(text, str) else {}
        low, step = float(meta["low"]), float(meta["step"])
        infinity = float(meta.get("infinity", 0.0 if meta["unit"] == "1/m" else low))
        quantity = meta["quantity"]
    except (KeyError, TypeError, *UNREADABLE_JSON) as error:
        raise CaptureError(f"{key}: {field} carries no mddnet scale (tEXt 'mddnet')") from error
    if quantity != field.removesuffix(".png") or codes.ndim != 2 or codes.dtype == np.uint8:
        raise CaptureError(f"{key}: {field} holds {quantity!r}, {codes.dtype} of shape {codes.shape}; expected 16 bits")
    if not all(math.isfinite(number) for number in (low, step, infinity)):
        raise CaptureError(f"{key}: {field} has low {low}, step {step}, infinity {infinity}; expected finite numbers")
    values = low + (codes.astype(np.float64) - CODE_FIRST) * step
    values[codes == CODE_INFINITY] = infinity
    values[codes == CODE_UNKNOWN] = np.nan
    return values.astype(np.float32)
