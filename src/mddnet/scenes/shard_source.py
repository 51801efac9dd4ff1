"""Sources of shards: local files or web addresses, given by patterns, read as size-limited streams.

Only ``http`` and ``https`` addresses are opened, by Python itself: unlike with webdataset's ``pipe:`` and ``http``
addresses, a pattern never reaches a shell or curl.
"""

from __future__ import annotations

import csv
import http.client
import io
import itertools
import json
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from braceexpand import braceexpand

from mddnet.errors import CaptureError
from mddnet.io.json_fields import UNREADABLE_JSON, first_repeated

SUMMARY = "shards.json"
LICENCES = "licences.csv"
LICENCE_COLUMNS = ("split", "group", "scene", "place", "provenance", "source", "licence", "sets")
SCHEMES = ("http://", "https://")
TIMEOUT_S = 60.0
MAX_SHARDS = 1_000_000
MAX_MEMBER_BYTES = 512 * 2**20
MAX_SAMPLE_BYTES = 2**30
MAX_TABLE_BYTES = 64 * 2**20  # maximum size of a summary or list of licences
UNREACHABLE = (OSError, http.client.HTTPException)  # exceptions of opening or reading a file or an address
INVALID_HEADER = (ValueError, OverflowError, IndexError, KeyError)  # exceptions of tarfile for invalid headers


@dataclass(frozen=True, slots=True)
class Shard:
    """Path or address of a shard, and its number of samples."""

    source: str
    samples: int


def is_address(source: str) -> bool:
    """Whether a source is a web address instead of a path."""
    return source.startswith(SCHEMES)


def expand_shards(patterns: Sequence[str]) -> list[str]:
    """Expand paths or ``http(s)`` addresses with ``{000..011}`` and ``{a,b}``, and ``*`` in paths, to shards in order.

    CaptureError for another kind of address, a pattern without match, a missing file, or a repeated shard.
    """
    found: list[str] = []
    for pattern in patterns:
        try:
            names = list(braceexpand(pattern))
        except ValueError as error:
            raise CaptureError(f"{pattern}: unmatched braces; expected such as train-{{000..011}}.tar") from error
        for name in names:
            if "://" in name or name.startswith("pipe:"):
                if not is_address(name):
                    raise CaptureError(f"{name}: expected a path, or an address that begins with {SCHEMES[1]}")
                found.append(name)
            elif "*" in name:
                path = Path(name)
                matches = sorted(str(match) for match in path.parent.glob(path.name))
                if not matches:
                    raise CaptureError(f"{name}: no file matches this pattern; write shards with `mddnet shards`")
                found += matches
            elif Path(name).is_file():
                found.append(name)
            else:
                raise CaptureError(f"{name}: no such file (of {pattern}); write shards with `mddnet shards`")
    repeated = first_repeated(found)
    if repeated is not None:
        raise CaptureError(f"{repeated}: listed twice; expected every shard once")
    if not 0 < len(found) <= MAX_SHARDS:
        raise CaptureError(f"{len(found)} shards; expected 1 to {MAX_SHARDS}")
    return found


@contextmanager
def open_shard(source: str) -> Iterator[IO[bytes]]:
    """Open a shard for reading from its beginning; raises OSError if it cannot be opened."""
    if not is_address(source):
        with Path(source).open("rb") as stream:
            yield stream
        return
    request = urllib.request.Request(source, headers={"User-Agent": "mddnet"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        if not is_address(response.geturl()):
            raise OSError(f"redirected to {response.geturl()}; expected {SCHEMES[1]}")
        yield response


def sibling(source: str, name: str) -> str:
    """Path or address of another file in the folder of a shard."""
    if is_address(source):
        return urllib.parse.urljoin(source, name)
    return str(Path(source).with_name(name))


def read_sibling(source: str, name: str) -> bytes | None:
    """Content of another file in the folder of a shard; None if it is missing or too large."""
    try:
        with open_shard(sibling(source, name)) as stream:
            content = stream.read(MAX_TABLE_BYTES + 1)
    except UNREACHABLE:
        return None
    return content if len(content) <= MAX_TABLE_BYTES else None


def count_samples(sources: Sequence[str]) -> list[Shard]:
    """Number of samples of each shard: from ``shards.json`` in its folder, or by reading the shard."""
    known: dict[str, dict[str, int]] = {}
    shards = []
    for source in sources:
        summary = sibling(source, SUMMARY)
        if summary not in known:
            known[summary] = _summary_counts(read_sibling(source, SUMMARY))
        path = urllib.parse.unquote(urllib.parse.urlsplit(source).path) if is_address(source) else source
        count = known[summary].get(Path(path).name)
        shards.append(Shard(source, sum(1 for _ in raw_samples(source, lambda _: False)) if count is None else count))
    if not sum(shard.samples for shard in shards):
        raise CaptureError(f"{sources[0]}: no sample in {len(sources)} shard(s); write shards with `mddnet shards`")
    return shards


def _summary_counts(content: bytes | None) -> dict[str, int]:
    """Number of samples by shard from a summary; empty for other content."""
    try:
        data = json.loads(content or b"{}")
        counts = {name: n for split in data["splits"].values() for name, n in split["sets_of_shard"].items()}
    except (KeyError, TypeError, AttributeError, *UNREADABLE_JSON):
        return {}
    return {name: n for name, n in counts.items() if isinstance(n, int) and 0 <= n < 2**40}


def shard_licences(shards: Sequence[Shard]) -> list[dict[str, str]]:
    """The training scenes with source and licence, from the tables next to the shards; "not known" without one."""
    rows = []
    for folder in dict.fromkeys(sibling(shard.source, LICENCES) for shard in shards):
        content = read_sibling(folder, LICENCES)
        table = list(csv.DictReader(io.StringIO((content or b"").decode("utf-8-sig", "replace"))))
        complete = [row for row in table if all(isinstance(row.get(name), str) for name in LICENCE_COLUMNS)]
        unknown = dict.fromkeys(LICENCE_COLUMNS, "") | {"split": "train", "source": folder, "licence": "not known"}
        rows += [row for row in complete or [unknown] if row["split"] == "train"]
    return rows


class BrokenShard(CaptureError):
    """A shard that could not be read to its end; for a web address, a retry may help."""


def raw_samples(
    source: str, wanted: Callable[[int], bool] = lambda index: True
) -> Iterator[dict[str, bytes | str] | None]:
    """The samples of a shard (path or address) as file contents by field, and ``__key__``; None if not wanted.

    CaptureError for a member that is not a plain file, has a path in its name, is too large or repeated; BrokenShard if
    the shard cannot be opened or ends early.
    """
    try:
        with open_shard(source) as stream:
            guarded = GuardedStream(stream, MAX_MEMBER_BYTES + 2**20)
            # Files are seekable, web streams are not.
            mode: Any = "r|" if is_address(source) else "r:"
            with tarfile.open(fileobj=cast(IO[bytes], guarded), mode=mode) as tar:
                yield from _raw_samples_of(tar, source, wanted, guarded)
    except (tarfile.TarError, EOFError, *INVALID_HEADER, *UNREACHABLE) as error:
        raise BrokenShard(f"{source}: not a complete tar file ({error}); copy or write the shard again") from error


def _raw_samples_of(
    tar: tarfile.TarFile, source: str, wanted: Callable[[int], bool], guarded: GuardedStream
) -> Iterator[dict[str, bytes | str] | None]:
    def members() -> Iterator[tuple[str, str, tarfile.TarInfo]]:
        for member in tar:
            guarded.next_member()
            yield (*_checked_name(source, member), member)
            tar.members = []  # type: ignore[attr-defined]  # it would accumulate all headers of the shard

    for index, (key, of_sample) in enumerate(itertools.groupby(members(), key=lambda each: each[0])):
        fields: dict[str, bytes | str] = {"__key__": key} if wanted(index) else {}
        names, size = set[str](), 0
        for _, field, member in of_sample:
            if field in names:
                raise CaptureError(f"{source}: {member.name} occurs twice; write the shard again")
            names.add(field)
            size += member.size
            if size > MAX_SAMPLE_BYTES:
                most = f"more than {MAX_SAMPLE_BYTES} bytes"
                raise CaptureError(f"{source}: sample {key} has {most}; write the shard again")
            if fields:
                content = tar.extractfile(member)
                assert content is not None  # it is a regular file
                fields[field] = content.read()
        yield fields or None


def _checked_name(path: str, member: tarfile.TarInfo) -> tuple[str, str]:
    """Key and field of a member that is a plain file with a plain name."""
    if not member.isreg() or member.issparse():
        raise CaptureError(
            f"{path}: {member.name!r} is not a plain file (a link, a folder or a device); expected files only"
        )
    key, _, field = member.name.partition(".")
    if not key or not field or set(member.name) & set("/\\\0") or ".." in member.name:
        raise CaptureError(f"{path}: name {member.name!r}; expected KEY.FIELD without folders")
    if not 0 <= member.size <= MAX_MEMBER_BYTES:
        raise CaptureError(f"{path}: {member.name} has {member.size} bytes; expected at most {MAX_MEMBER_BYTES}")
    return key, field


class GuardedStream:
    """A stream for ``tarfile`` that limits the bytes read for one member, ``max_bytes`` per :meth:`next_member`.

    A header may claim a file name of gigabytes, which would fill the memory.
    """

    def __init__(self, stream: IO[bytes], max_bytes: int) -> None:
        self._stream = stream
        self._most = self._left = max_bytes
        self.seekable, self.seek, self.tell = stream.seekable, stream.seek, stream.tell

    def next_member(self) -> None:
        self._left = self._most

    def read(self, size: int | None = -1) -> bytes:
        """Read at most ``size`` bytes; tarfile.ReadError beyond the limit."""
        wanted = self._left + 1 if size is None or size < 0 else size
        if wanted > self._left:
            raise tarfile.ReadError(f"a member or its name has more than {self._most} bytes")
        data = self._stream.read(wanted)
        self._left -= len(data)
        return data
