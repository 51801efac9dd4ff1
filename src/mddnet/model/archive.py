"""Write a model folder as one .zip, and unpack one safely: the archive never decides where files are written."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mddnet.errors import ModelError

MAX_ENTRIES = 256
MAX_BYTES = {".json": 1_000_000, ".md": 4_000_000}  # largest size of a text file of a model, by its suffix
MAX_WEIGHTS_BYTES = 4_000_000_000
MAX_RATIO = 20
"""Weights hardly compress (7 % for the shipped model); an entry beyond this ratio is a decompression bomb."""
_CHUNK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_WRITTEN_AT = (1980, 1, 1, 0, 0, 0)  # the same model gives the same bytes
_unpacked: dict[tuple[Path, int, int], tuple[tempfile.TemporaryDirectory[str], Path]] = {}
"""Folders unpacked by this process, by path, size and time of the archive; removed when it ends."""
_REMEDY = "write it with `mddnet export RUN/model -o NAME.zip`"


def unpacked(archive: Path, names: Sequence[str]) -> Path:
    """Unpack the named files of an archive into a folder that is removed when the program ends.

    The files may be at the top of the archive or together in one folder; missing ones are skipped. Nothing else is
    unpacked, and names on disk are those requested, never those of the archive. ModelError if it is not a ZIP, is
    damaged or encrypted, holds none of the names or one of them twice, has an entry outside the target folder, or
    exceeds the size limits.
    """
    path = archive.resolve()
    facts = path.stat()
    key = (path, facts.st_size, facts.st_mtime_ns)
    if key in _unpacked:
        return _unpacked[key][1]
    holder = tempfile.TemporaryDirectory(prefix="mddnet-", ignore_cleanup_errors=True)
    folder = Path(holder.name) / path.name  # so that errors about its files name the archive
    folder.mkdir()
    try:
        with zipfile.ZipFile(path) as opened:
            for name, entry in _entries(archive, opened, names).items():
                with opened.open(entry) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK)
                if (size := (folder / name).stat().st_size) != entry.file_size:
                    raise ModelError(f"{archive}: {name} ends after {size} of {entry.file_size} bytes; fetch it again")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{archive}: not a readable ZIP ({error}); copy or fetch it again, or {_REMEDY}") from error
    _unpacked[key] = (holder, folder)
    return folder


def _entries(archive: Path, opened: zipfile.ZipFile, names: Sequence[str]) -> dict[str, zipfile.ZipInfo]:
    """The entries with the requested names; every entry of the archive is checked first."""
    entries = opened.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ModelError(f"{archive}: {len(entries)} entries; expected the {len(names)} files of a model")
    found: dict[str, tuple[PurePosixPath, zipfile.ZipInfo]] = {}
    for entry in entries:
        # zipfile rewrites backslashes and cuts at NUL, so the original name is checked
        raw = entry.orig_filename
        parts = raw.rstrip("/").split("/")
        if any(part in ("", ".", "..") for part in parts) or any(c in raw for c in "\\:\0"):
            raise ModelError(f"{archive}: entry {raw!r} points out of the archive; expected plain names: {_REMEDY}")
        path = PurePosixPath(raw)
        if entry.is_dir() or path.name not in names or len(parts) > 2:
            continue
        if path.name in found:
            raise ModelError(f"{archive}: {path.name} twice ({found[path.name][0]}, {path}); expected it once")
        _check_entry(archive, entry)
        found[path.name] = (path, entry)
    if not found:
        raise ModelError(f"{archive}: no model in it; expected {', '.join(names)}: {_REMEDY}")
    if len({path.parent for path, _ in found.values()}) > 1:
        paths = ", ".join(str(path) for path, _ in found.values())
        raise ModelError(
            f"{archive}: files of a model in several folders ({paths}); expected all of them in one folder"
        )
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
            f"{name} unpacks from {entry.compress_size} to {entry.file_size} bytes; expected weights, which hardly "
            "compress"
        )


def pack(folder: Path, target: BinaryIO, names: Sequence[str]) -> None:
    """Write the named files of a folder as a ZIP, in that order; missing ones are skipped.

    The same files give the same bytes.
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
