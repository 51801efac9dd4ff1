"""What the wheel and the sdist must hold, and must not.

    python -m tests.support.distribution dist

Prints what is wrong, and ends with 1 then. Needs the standard library only.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "mddnet"
IGNORED = {".pyc", ".safetensors"}
"""Suffixes of files of the package that the wheel omits: byte code, and weights to train on from."""
IN_SDIST = (
    "LICENSE",
    "MODEL_LICENSE.md",
    "NOTICE",
    "README.md",
    "pyproject.toml",
    "recipes/small.toml",
    "tests/conftest.py",
)
PRIVATE = {".git", ".venv", ".venv-dev", "node_modules", "work", "shared", "__pycache__"}
"""Folders that no archive may have: environments, captures, results."""
LARGEST_MB = 30
"""PyPI takes 100 MB."""


def package_files() -> set[str]:
    """Files of the package that a wheel must hold."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in IGNORED)
    return {path.relative_to(PACKAGE.parent).as_posix() for path in files}


def wrong_in_wheel(names: Iterable[str], expected: set[str]) -> Iterator[str]:
    """Sentences on what a wheel lacks, or has and should not."""
    names = set(names)
    own = {name for name in names if not PurePosixPath(name).parts[0].endswith(".dist-info")}
    yield from (f"missing: {name}" for name in sorted(expected - own))
    yield from (f"not of the package: {name}" for name in sorted(own - expected))
    for licence in ("LICENSE", "NOTICE", "MODEL_LICENSE.md"):
        if not any(name.endswith(f".dist-info/licenses/{licence}") for name in names):
            yield f"missing: {licence}"


def wrong_in_sdist(names: Iterable[str], expected: set[str]) -> Iterator[str]:
    """The same of an sdist; the names are relative to its one folder."""
    names = set(names)
    yield from (
        f"missing: {name}" for name in sorted({f"src/{name}" for name in expected} | set(IN_SDIST)) if name not in names
    )
    yield from (f"private: {name}" for name in sorted(names) if PRIVATE & set(PurePosixPath(name).parts))


def wrong_in(folder: Path) -> Iterator[str]:
    """Sentences on the one wheel and the one sdist in a folder."""
    wheels, sdists = list(folder.glob("*.whl")), list(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        yield f"{folder}: {len(wheels)} wheels and {len(sdists)} sdists; expected one of each: make dist"
        return
    expected = package_files()
    with zipfile.ZipFile(wheels[0]) as wheel:
        yield from (f"{wheels[0].name}: {text}" for text in wrong_in_wheel(wheel.namelist(), expected))
    with tarfile.open(sdists[0]) as sdist:
        names = [name.partition("/")[2] for name in sdist.getnames()]
    yield from (f"{sdists[0].name}: {text}" for text in wrong_in_sdist(names, expected))
    for archive in (wheels[0], sdists[0]):
        size_mb = archive.stat().st_size / 1e6
        if size_mb > LARGEST_MB:
            yield f"{archive.name}: {size_mb:.0f} MB; expected at most {LARGEST_MB}"


def main() -> int:
    wrong = list(wrong_in(Path(sys.argv[1])))
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
