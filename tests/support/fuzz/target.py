"""What a reader under test is: its valid files, the ways to damage them, and what reading them does."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.fuzz import draw as st
from tests.support.fuzz.damage import damaged

from mddnet.errors import MddnetError

Files = dict[str, bytes]
"""Content by name, a slash for a folder."""
Cases = st.Strategy[Files]
"""The files of a case that differ from the valid ones."""
PIXELS = 4_000_000
"""Limit on pixels while readers are tested, so that a legal image does not fill the memory that they may take."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader.

    Attributes:
        name: of the target.
        reads: what it reads, in words.
        share: cases among 200,000.
        valid: writes valid files into an empty folder.
        cases: ways to damage them.
        read: reads the folder; anything but ``allowed`` is a find.
        allowed: what it may raise.
        needs: modules without which it is left out.
    """

    name: str
    reads: str
    share: int
    valid: Callable[[Path], None]
    cases: Callable[[Files], Cases]
    read: Callable[[Path], None]
    allowed: tuple[type[Exception], ...] = (MddnetError,)
    needs: tuple[str, ...] = ()

    @property
    def lacks(self) -> list[str]:
        """The modules that it needs and that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


def files_in(folder: Path) -> Files:
    """The files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put files into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def damage_one(files: Files, names: Sequence[str]) -> Cases:
    """One of the named files damaged; pieces come from the others of its kind."""

    def one(name: str) -> Cases:
        suffix = Path(name).suffix
        others = [content for other, content in files.items() if Path(other).suffix == suffix]
        return damaged(files[name], others).map(lambda content: {name: content})

    return st.one_of([one(name) for name in names])


def damage_any_seed(files: Files, case: str) -> Cases:
    """Any of the files damaged, under one name."""
    seeds = list(files.values())
    return st.one_of([damaged(seed, seeds).map(lambda content: {case: content}) for seed in seeds])
