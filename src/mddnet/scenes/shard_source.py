"""Where shards are, and the files in them: here or at a web address, named by patterns, read as streams that cannot
run away.

Only ``http`` and ``https`` addresses are opened, by Python itself: a pattern never reaches a shell, as the ``pipe:``
addresses of webdataset do, and as its ``http`` addresses do on their way to curl.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from braceexpand import braceexpand

from mddnet.errors import CaptureError
from mddnet.io.json_fields import UNREADABLE_JSON

SUMMARY = "shards.json"
LICENCES = "licences.csv"
LICENCE_COLUMNS = ("split", "group", "scene", "place", "provenance", "source", "licence", "sets")
SCHEMES = ("http://", "https://")
TIMEOUT_S = 60.0
MAX_SHARDS = 1_000_000
MAX_MEMBER_BYTES = 512 * 2**20
MAX_SAMPLE_BYTES = 2**30
MAX_TABLE_BYTES = 64 * 2**20
"""Size of a summary or a list of licences beyond which it is none."""
NOT_REACHED = (OSError, http.client.HTTPException)
"""What opening or reading a file or an address raises."""
ODD_HEADER = (ValueError, OverflowError, IndexError, KeyError)
"""What tarfile raises for a header whose numbers are none."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard of a data set.

    Attributes:
        source: path or address.
        samples: number of sets in it.
    """

    source: str
    samples: int


def is_address(source: str) -> bool:
    """Whether a shard lies at a web address, and not in a file."""
    return source.startswith(SCHEMES)


def expand_shards(patterns: Sequence[str]) -> list[str]:
    """The shards that patterns stand for, in order.

    Args:
        patterns: paths or ``http(s)`` addresses; ``{000..011}`` and ``{a,b}`` stand for several, and in a path ``*``
            for what is there.

    Raises:
        CaptureError: for another kind of address, a pattern that nothing fits, a file that is not there, or a shard
            that is named twice.
    """
    found: list[str] = []
    for pattern in patterns:
        try:
            names = list(braceexpand(pattern))
        except ValueError as error:
            raise CaptureError(
                f"{pattern}: braces that do not match; expected such as train-{{000..011}}.tar"
            ) from error
        for name in names:
            if "://" in name or name.startswith("pipe:"):
                if not is_address(name):
                    raise CaptureError(f"{name}: expected a path, or an address that begins with {SCHEMES[1]}")
                found.append(name)
            elif "*" in name:
                path = Path(name)
                matches = sorted(str(match) for match in path.parent.glob(path.name))
                if not matches:
                    raise CaptureError(f"{name}: no file fits this pattern; write shards with `mddnet shards`")
                found += matches
            elif Path(name).is_file():
                found.append(name)
            else:
                raise CaptureError(f"{name}: no such file (of {pattern}); write shards with `mddnet shards`")
    twice = next((name for name in found if found.count(name) > 1), None) if len(set(found)) < len(found) else None
    if twice is not None:
        raise CaptureError(f"{twice}: named twice; its sets would come twice as often as others")
    if not 0 < len(found) <= MAX_SHARDS:
        raise CaptureError(f"{len(found)} shards; expected 1 to {MAX_SHARDS}")
    return found


@contextmanager
def open_shard(source: str) -> Iterator[IO[bytes]]:
    """Open a shard to be read from its beginning.

    Raises:
        OSError: if it cannot be opened.
    """
    if not is_address(source):
        with Path(source).open("rb") as stream:
            yield stream
        return
    request = urllib.request.Request(source, headers={"User-Agent": "mddnet"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        if not is_address(response.geturl()):
            raise OSError(f"it leads to {response.geturl()}; expected {SCHEMES[1]}")
        yield response


def beside(source: str, name: str) -> str:
    """Path or address of another file in the folder of a shard."""
    if is_address(source):
        return urllib.parse.urljoin(source, name)
    return str(Path(source).with_name(name))


def name_of(source: str) -> str:
    """File name of a shard."""
    if is_address(source):
        return urllib.parse.unquote(urllib.parse.urlsplit(source).path.rpartition("/")[2])
    return Path(source).name


def read_beside(source: str, name: str) -> bytes | None:
    """Content of another file in the folder of a shard; None where there is none."""
    try:
        with open_shard(beside(source, name)) as stream:
            content = stream.read(MAX_TABLE_BYTES + 1)
    except NOT_REACHED:
        return None
    return content if len(content) <= MAX_TABLE_BYTES else None


def count_samples(sources: Sequence[str]) -> list[Shard]:
    """How many sets each shard holds: by ``shards.json`` beside it, or else by going through it.

    Raises:
        CaptureError: if a shard without such a file cannot be read through, or there is no set at all.
    """
    known: dict[str, dict[str, int]] = {}
    shards = []
    for source in sources:
        summary = beside(source, SUMMARY)
        if summary not in known:
            known[summary] = _summary_counts(read_beside(source, SUMMARY))
        count = known[summary].get(name_of(source))
        shards.append(Shard(source, sum(1 for _ in raw_samples(source, lambda _: False)) if count is None else count))
    if not sum(shard.samples for shard in shards):
        raise CaptureError(f"{sources[0]}: no set in {len(sources)} shard(s); write shards with `mddnet shards`")
    return shards


def _summary_counts(content: bytes | None) -> dict[str, int]:
    """Sets by name of the shard, as a summary says; nothing of what is no summary."""
    try:
        data = json.loads(content or b"{}")
        counts = {name: n for side in data["splits"].values() for name, n in side["sets_of_shard"].items()}
    except (KeyError, TypeError, AttributeError, *UNREADABLE_JSON):
        return {}
    return {name: n for name, n in counts.items() if isinstance(n, int) and 0 <= n < 2**40}


def shard_licences(shards: Sequence[Shard]) -> list[dict[str, str]]:
    """The scenes of the train side, with place, source and licence, as the tables beside the shards list them.

    A table that is missing is one row that says so.
    """
    rows = []
    for folder in dict.fromkeys(beside(shard.source, LICENCES) for shard in shards):
        content = read_beside(folder, LICENCES)
        table = list(csv.DictReader(io.StringIO((content or b"").decode("utf-8", "replace"))))
        whole = [row for row in table if all(isinstance(row.get(name), str) for name in LICENCE_COLUMNS)]
        unknown = dict.fromkeys(LICENCE_COLUMNS, "") | {"split": "train", "source": folder, "licence": "not known"}
        rows += [row for row in whole or [unknown] if row["split"] == "train"]
    return rows


# --- the files in a shard ---------------------------------------------------------------------------------------------


class BrokenShard(CaptureError):
    """A shard that could not be read to its end; at a web address, asking again may help."""


def raw_samples(
    source: str, wanted: Callable[[int], bool] = lambda index: True
) -> Iterator[dict[str, bytes | str] | None]:
    """The sets of a shard as file contents by field, and ``__key__``, not decoded.

    Args:
        source: path or ``http(s)`` address of the shard.
        wanted: whether to read a set, by its number in the shard; None is given for one that is not.

    Raises:
        CaptureError: naming the member: one that is no plain file (a link, a device, a folder), whose name has a
            folder, ``..`` or a root in it, that is too large or repeated.
        BrokenShard: if the shard cannot be opened or ends early.
    """
    try:
        with open_shard(source) as stream:
            guarded = GuardedStream(stream, MAX_MEMBER_BYTES + 2**20)
            # A file can be skipped through, what comes over a wire cannot.
            with tarfile.open(fileobj=guarded, mode="r|" if is_address(source) else "r:") as tar:
                yield from _raw_samples_of(tar, source, wanted, guarded)
    except (tarfile.TarError, EOFError, *ODD_HEADER, *NOT_REACHED) as error:
        raise BrokenShard(f"{source}: not a whole tar file ({error}); copy or make the shard again") from error


def _raw_samples_of(
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
        if size > MAX_SAMPLE_BYTES:
            raise CaptureError(f"{source}: set {key} has more than {MAX_SAMPLE_BYTES} bytes; make the shard again")
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


class GuardedStream(io.RawIOBase):
    """A stream for ``tarfile`` that reads no more for one member than a member may have.

    A header may claim that the name of a file is gigabytes long; reading it would fill the memory.
    """

    def __init__(self, stream: IO[bytes], most_bytes: int) -> None:
        """Guard a stream.

        Args:
            stream: what is read.
            most_bytes: how much may be read until :meth:`next_member` is called again.
        """
        self._stream = stream
        self._most = self._left = most_bytes

    def next_member(self) -> None:
        """The next member may have its bytes."""
        self._left = self._most

    def read(self, size: int | None = -1) -> bytes:
        """Read at most ``size`` bytes.

        Raises:
            tarfile.ReadError: for more than a member may have.
        """
        wanted = self._left + 1 if size is None or size < 0 else size
        if wanted > self._left:
            raise tarfile.ReadError(f"a member or its name has more than {self._most} bytes")
        data = self._stream.read(wanted)
        self._left -= len(data)
        return data

    def seekable(self) -> bool:
        """As the stream itself."""
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        """As the stream itself."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """As the stream itself."""
        return self._stream.tell()
