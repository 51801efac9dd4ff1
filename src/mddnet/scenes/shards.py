"""WebDataset shards: tar files of self-contained samples.

Files of a sample in a shard, all named ``KEY.FIELD``, in this order:

    sharp.jpg (or .png)     all-in-focus image, sRGB, the bytes of the scene's file
    focused.jpg (or .png)   focused image, sRGB, the bytes of the scene's file
    inv_depth.png           inverse depth, 16-bit codec of :mod:`mddnet.scenes.store`
    signed_defocus_px.png   CoC diameter by the lens law, px, negative in front of the plane of focus
    confidence.png          8-bit confidence of the inverse depth, 255 is certain, 0 is unknown
    json                    facts; the same keys and types in every sample

Both 16-bit maps have one codec: code 0 is unknown, code 1 infinity, codes 2..65535 are ``low + (code - 2) * step``.
By the lens law, the defocus is linear in inverse depth, so both maps have the *same codes*; only ``low`` and ``step``
differ (``step`` of the defocus is 0 or negative), and ``infinity`` is the value of code 1. So the defocus map is as
exact as the depth map: its error is at most half its step.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mddnet.errors import CaptureError
from mddnet.io.json_fields import UNREADABLE_JSON, display
from mddnet.photo.image_file import opened_image
from mddnet.scenes.shard_source import raw_samples
from mddnet.scenes.store import read_coded_map
from mddnet.types import Float32Array, UInt8Array

SHARD_FORMAT = 1
MAP_FIELDS = ("inv_depth.png", "signed_defocus_px.png")
CONFIDENCE_FIELD = "confidence.png"
IMAGE_SUFFIXES = ("jpg", "png")
WRITE_AGAIN = "write the shard again"
_TEXT_KEYS = ("group", "scene", "place", "split", "capture", "source", "licence", "provenance", "unit")
_NUMBER_KEYS = ("u_focus", "kappa_px")


def sample_key(group: str, scene: str, frame: int) -> str:
    """Unique key of a sample: letters, digits, ``_`` and ``-`` of the names stay, other bytes become ``~XX``.

    WebDataset ends a key at the first dot, so that dots must be replaced.

    Example:
        >>> sample_key("rgbd", "cup.2", 7)
        'rgbd+cup~2E2+0007'
    """

    def plain(name: str) -> str:
        data = name.encode("utf-8", "surrogateescape").decode("latin-1")
        return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"~{ord(found[0]):02X}", data)

    return f"{plain(group)}+{plain(scene)}+{frame:04d}"


@dataclass(frozen=True, eq=False)
class EncodedSample:
    """One sample of a shard; its files are decoded on access, or CaptureError names the sample and the field."""

    fields: Mapping[str, Any]  # file contents by field, and __key__
    info: dict[str, Any]  # content of json: place, split, unit, u_focus, kappa_px, source, licence, provenance ...

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> EncodedSample:
        """The sample of these files; reads and validates its ``json``."""
        key = str(fields.get("__key__", ""))
        return cls(fields, _read_info(key, _field(fields, key, "json")))

    @property
    def key(self) -> str:
        return str(self.fields.get("__key__", ""))

    def image(self, name: Literal["sharp", "focused"]) -> UInt8Array:
        """(H, W, 3) uint8, sRGB."""
        names = [f"{name}.{suffix}" for suffix in IMAGE_SUFFIXES]
        return self._picture(next((each for each in names if each in self.fields), names[0]), "RGB")

    @cached_property
    def sharp(self) -> UInt8Array:
        return self.image("sharp")

    @cached_property
    def focused(self) -> UInt8Array:
        return self.image("focused")

    @cached_property
    def inv_depth(self) -> Float32Array:
        """(H, W) float32 in ``info["unit"]``, NaN where unknown."""
        return self._map(MAP_FIELDS[0])

    @cached_property
    def signed_defocus_px(self) -> Float32Array:
        """(H, W) float32, px of these images, NaN where unknown."""
        return self._map(MAP_FIELDS[1])

    @property
    def defocus_px(self) -> Float32Array:
        """(H, W) float32, the CoC diameter in px, >= 0, NaN where unknown."""
        return np.abs(self.signed_defocus_px)

    @cached_property
    def confidence(self) -> Float32Array:
        """(H, W) float32 in [0, 1], 0 where unknown."""
        return self._picture(CONFIDENCE_FIELD, "L").astype(np.float32) / 255.0

    def _picture(self, field: str, mode: str) -> UInt8Array:
        data = io.BytesIO(_field(self.fields, self.key, field))
        with opened_image(data, WRITE_AGAIN, name=f"{self.key}: {field}") as image:
            return np.asarray(image.convert(mode)).astype(np.uint8, copy=False)

    def _map(self, field: str) -> Float32Array:
        data = io.BytesIO(_field(self.fields, self.key, field))
        return read_coded_map(data, field.removesuffix(".png"), WRITE_AGAIN, f"{self.key}: {field}").values


def read_shard(path: Path | str) -> Iterator[EncodedSample]:
    """Decode the samples of a shard (path or ``http(s)`` address) one by one."""
    for fields in raw_samples(str(path)):
        assert fields is not None  # all are wanted
        try:
            yield decode_sample(fields)
        except CaptureError as error:
            raise CaptureError(f"{path}: {error}") from error


def decode_sample(sample: Mapping[str, Any]) -> EncodedSample:
    """Decode a sample completely; works with ``map`` on ``webdataset.WebDataset(shards)`` without ``decode``."""
    one = EncodedSample.of(sample)
    check_one_size(one.key, one.sharp, one.focused, one.inv_depth, one.signed_defocus_px, one.confidence)
    return one


def check_one_size(key: str, *maps: np.ndarray[Any, Any]) -> None:
    """Raise CaptureError if the maps of a sample differ in size."""
    shapes = {array.shape[:2] for array in maps}
    if len(shapes) != 1:
        raise CaptureError(f"{key}: maps of {sorted(shapes)}; expected one size")


def _field(sample: Mapping[str, Any], key: str, field: str) -> bytes:
    data = sample.get(field)
    if not isinstance(data, bytes):
        found = ", ".join(sorted(str(name) for name in sample if not str(name).startswith("__")))
        raise CaptureError(f"{key}: no bytes of {field}; expected a sample of `mddnet shards`, got {found}")
    return data


def _read_info(key: str, data: bytes) -> dict[str, Any]:
    try:
        info = json.loads(data)
    except UNREADABLE_JSON as error:
        raise CaptureError(f"{key}: json is not readable ({error})") from error
    if not isinstance(info, dict) or info.get("format") != SHARD_FORMAT:
        raise CaptureError(f"{key}: json is not of format {SHARD_FORMAT}; write the shards again")
    for name in _TEXT_KEYS:
        if not isinstance(info.get(name), str):
            raise CaptureError(f"{key}: {name} is {display(info.get(name))}; expected a text")
    for name in _NUMBER_KEYS:
        if not isinstance(info.get(name), float) or not math.isfinite(info[name]):
            raise CaptureError(f"{key}: {name} is {display(info.get(name))}; expected a finite number")
    return info
