"""A model as one .zip: same maps, same bytes, and safe unpacking."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import mddnet
from mddnet.errors import ModelError
from mddnet.model.archive import pack, unpacked
from mddnet.model.folder import MODEL_FILES
from mddnet.predict.model_dir import open_model_dir


@pytest.fixture
def packed(tiny_model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.zip"
    with path.open("wb") as stream:
        pack(tiny_model, stream, MODEL_FILES)
    return path


def written(path: Path, entries: dict[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    """A ZIP with these entries, whatever they are called."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(name, data)
    return path


def test_zip_and_folder_predict_the_same(tiny_model: Path, packed: Path, tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    expected = mddnet.load(tiny_model).predict(photo)
    in_folder = written(
        tmp_path / "folder.ZIP",
        {f"mine/{p.name}": p.read_bytes() for p in tiny_model.iterdir()}
        | {"__MACOSX/mine/._config.json": b"x", "mine/notes.txt": b"x", "mine/more/model.onnx": b"x"},
    )
    for path in (packed, str(packed), in_folder):
        prediction = mddnet.load(path).predict(photo)
        np.testing.assert_array_equal(prediction.defocus_px, expected.defocus_px)
    assert sorted(p.name for p in open_model_dir(in_folder).folder.iterdir()) == [
        "card.md",
        "config.json",
        "model.onnx",
    ]
    assert open_model_dir(packed).card.read_text() == "A test's model.\n"


def test_same_model_gives_same_bytes(tiny_model: Path, packed: Path) -> None:
    again = io.BytesIO()
    pack(tiny_model, again, MODEL_FILES)
    assert again.getvalue() == packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        assert archive.namelist() == ["config.json", "card.md", "model.onnx"] and archive.testzip() is None


def test_changed_archive_is_unpacked_again(tiny_model: Path, packed: Path) -> None:
    first = unpacked(packed, MODEL_FILES)
    assert unpacked(packed, MODEL_FILES) == first
    written(packed, {"config.json": b"{}"})
    second = unpacked(packed, MODEL_FILES)
    assert second != first and (second / "config.json").read_bytes() == b"{}"
    with pytest.raises(ModelError, match=r"tiny\.zip.config\.json: format None"):
        mddnet.load(packed)


@pytest.mark.parametrize(
    "name",
    ["../config.json", "/config.json", "mine/../../config.json", "..\\config.json", "C:config.json", "a//config.json"],
)
def test_paths_outside_the_target_are_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "m" / "a.zip" if (tmp_path / "m").mkdir() is None else tmp_path, {name: b"{}"})
    with pytest.raises(ModelError, match=re.escape(f"entry {name!r} points out")):
        mddnet.load(path)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.zip"]


def _link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("config.json")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([(_link(), b"/etc/hosts")], "is a link"),
        ([("a/config.json", b"{}"), ("config.json", b"{}")], "config.json twice"),
        ([("a/config.json", b"{}"), ("b/model.onnx", b"")], "several folders"),
        ([("readme.txt", b"")], "no model .*config.json"),
        ([(f"{i}.txt", b"") for i in range(300)], "300 entries"),
        ([("config.json", b" " * 1_000_001)], "unpacks to 1000001 .* 1000000"),
        ([("config.json", b"{}"), ("model.onnx", bytes(30_000_000))], "unpacks from .* 30000000 "),
    ],
)
def test_malicious_archives_are_refused(tmp_path: Path, entries, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        mddnet.load(written(tmp_path / "a.zip", entries))


def test_archive_with_wrong_sizes_is_refused(tmp_path: Path) -> None:
    """A decompression bomb that states a small size: no more than that is written."""
    path = written(tmp_path / "a.zip", {"config.json": b"{}", "model.onnx": bytes(3_000_000)})
    data = path.read_bytes()
    # the size stands in the entry and in the directory at the end
    path.write_bytes(data.replace(struct.pack("<I", 3_000_000), struct.pack("<I", 10_000)))
    with pytest.raises(ModelError, match=r"a\.zip"):
        mddnet.load(path)


def test_encrypted_and_damaged_archives_are_refused(packed: Path, tmp_path: Path) -> None:
    data = packed.read_bytes()
    locked = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            locked[at + offset] |= 1
            at = data.find(signature, at + 4)
    flipped = bytearray(data)
    flipped[data.find(b"model.onnx") + 40] ^= 0xFF
    cases = {"locked": bytes(locked), "short": data[:-30], "flipped": bytes(flipped), "none": b"no archive"}
    for name, content in cases.items():
        path = tmp_path / f"{name}.zip"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="encrypted" if name == "locked" else "not a readable ZIP"):
            mddnet.load(path)
