"""A model as one .zip: written from a folder, and unpacked where nothing in the archive decides where to."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from mddnet.errors import ModelError

MAX_ENTRIES = 256
MAX_BYTES = {".json": 1_000_000, ".md": 4_000_000}
"""Largest size of a text file of a model, by its suffix."""
MAX_WEIGHTS_BYTES = 4_000_000_000
MAX_RATIO = 20
"""Weights hardly get smaller (7 % for the shipped model); what unpacks to more than this many times its size is a trap.
"""
_CHUNK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_WRITTEN_AT = (1980, 1, 1, 0, 0, 0)  # the same model gives the same bytes
_unpacked: dict[tuple[Path, int, int], tuple[tempfile.TemporaryDirectory[str], Path]] = {}
"""What this process unpacked before, by path, size and time of the archive; removed when it ends."""


def unpacked(archive: Path, names: Sequence[str]) -> Path:
    """Unpack the named files of an archive into a folder that is removed when the program ends.

    The files may lie at the top or together in one folder. Nothing else is unpacked, and the names on disk are those
    asked for, never those of the archive.

    Args:
        archive: the .zip.
        names: plain file names; those that are missing are left out.

    Raises:
        ModelError: if it is no ZIP, damaged, encrypted, holds none of the names or one of them twice, points out of
            itself, or unpacks to more than a model can be.
    """
    path = archive.resolve()
    facts = path.stat()
    key = (path, facts.st_size, facts.st_mtime_ns)
    if key in _unpacked:
        return _unpacked[key][1]
    holder = tempfile.TemporaryDirectory(prefix="mddnet-", ignore_cleanup_errors=True)
    folder = Path(holder.name) / path.name  # errors about a file in it then name the archive
    folder.mkdir()
    try:
        with zipfile.ZipFile(path) as opened:
            for name, entry in _entries(archive, opened, names).items():
                with opened.open(entry) as source, (folder / name).open("wb") as target:
                    _copy(source, target, entry.file_size, f"{archive}: {name}")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ModelError(
            f"{archive}: not a readable ZIP ({error}); copy or fetch it again, or write it anew with `mddnet export "
            "RUN/model -o NAME.zip`"
        ) from error
    _unpacked[key] = (holder, folder)
    return folder


def _entries(archive: Path, opened: zipfile.ZipFile, names: Sequence[str]) -> dict[str, zipfile.ZipInfo]:
    """The entries of the wanted names, after every entry of the archive was looked at."""
    entries = opened.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ModelError(f"{archive}: {len(entries)} entries; expected the {len(names)} files of a model")
    found: dict[str, tuple[PurePosixPath, zipfile.ZipInfo]] = {}
    for entry in entries:
        # zipfile itself changes backslashes and cuts at NUL, so the name as it stands in the file is looked at
        raw = entry.orig_filename
        parts = raw.rstrip("/").split("/")
        if any(part in ("", ".", "..") for part in parts) or any(c in raw for c in "\\:\0"):
            raise ModelError(f"{archive}: entry {raw!r} points out of the archive; expected plain names: {_way_out()}")
        path = PurePosixPath(raw)
        if entry.is_dir() or path.name not in names or len(parts) > 2:
            continue
        if path.name in found:
            raise ModelError(f"{archive}: {path.name} twice ({found[path.name][0]}, {path}); expected it once")
        _check_entry(archive, entry)
        found[path.name] = (path, entry)
    if not found:
        raise ModelError(f"{archive}: no model in it; expected {', '.join(names)}: {_way_out()}")
    if len({path.parent for path, _ in found.values()}) > 1:
        paths = ", ".join(str(path) for path, _ in found.values())
        raise ModelError(f"{archive}: files of a model in several folders ({paths}); expected them side by side")
    return {name: entry for name, (_, entry) in found.items()}


def _check_entry(archive: Path, entry: zipfile.ZipInfo) -> None:
    name = f"{archive}: {entry.filename}"
    if entry.flag_bits & 0x1:
        raise ModelError(f"{name} is encrypted; expected an archive without a password")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ModelError(f"{name} is a link or a device; expected plain files")
    if entry.compress_type not in _METHODS:
        raise ModelError(f"{name} is compressed by method {entry.compress_type}; expected stored or deflated")
    limit = MAX_BYTES.get(PurePosixPath(entry.filename).suffix, MAX_WEIGHTS_BYTES)
    if entry.file_size > limit:
        raise ModelError(f"{name} unpacks to {entry.file_size} bytes; expected at most {limit}")
    if entry.file_size > _CHUNK and entry.file_size > MAX_RATIO * entry.compress_size:
        raise ModelError(
            f"{name} unpacks from {entry.compress_size} to {entry.file_size} bytes; expected weights, which hardly get "
            "smaller"
        )


def _copy(source: IO[bytes], target: IO[bytes], size: int, name: str) -> None:
    done = 0
    while chunk := source.read(_CHUNK):
        done += len(chunk)
        if done > size:
            raise ModelError(f"{name} holds more than the {size} bytes that it states; fetch the archive again")
        target.write(chunk)
    if done != size:
        raise ModelError(f"{name} ends after {done} of {size} bytes; fetch the archive again")


def _way_out() -> str:
    return "write it with `mddnet export RUN/model -o NAME.zip`"


def pack(folder: Path, target: BinaryIO, names: Sequence[str]) -> None:
    """Write the named files of a folder as a ZIP; the same files give the same bytes.

    Args:
        folder: the model folder.
        target: open file.
        names: plain file names, in the order in which they are written; those that are missing are left out.
    """
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            if not (folder / name).is_file():
                continue
            entry = zipfile.ZipInfo(name, _WRITTEN_AT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with (folder / name).open("rb") as source, archive.open(entry, "w", force_zip64=True) as written:
                shutil.copyfileobj(source, written, _CHUNK)
