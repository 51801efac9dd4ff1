"""The size of an environment, package by package: docs/results/install-size.md (``make table-size``).

    python -m benchmarks.install_size work/installed -o docs/results/install-size.md

Sums the files that each package's RECORD lists. Byte code, which pip compiles unless it is given --no-compile, is a
column of its own.
"""

from __future__ import annotations

import argparse
from importlib.metadata import Distribution, distributions
from pathlib import Path

from mddnet.io.atomic import atomic_write_text

TOOLS = {"pip", "setuptools", "wheel"}
"""What every environment has, with or without mddnet."""
SMALLEST_MB = 1.0


def sizes_mb(found: Distribution) -> tuple[float, float]:
    """Megabytes of a package's files, without and in byte code."""
    files = [Path(str(path.locate())) for path in found.files or []]
    sizes = [(path.suffix == ".pyc", path.stat().st_size / 1e6) for path in files if path.is_file()]
    return sum(size for compiled, size in sizes if not compiled), sum(size for compiled, size in sizes if compiled)


def page(environment: Path) -> str:
    """The page in Markdown."""
    folder = next(environment.glob("lib*/python3*/site-packages"), environment / "Lib" / "site-packages")
    found = [one for one in distributions(path=[str(folder)]) if one.metadata["Name"] not in TOOLS]
    rows = [(*sizes_mb(one), one.metadata["Name"], one.version) for one in found]
    rows.sort(key=lambda row: row[0] + row[1], reverse=True)
    large = [row for row in rows if row[0] + row[1] >= SMALLEST_MB]
    lines = [
        "# Size of the base install",
        "",
        "`make table-size` installs the wheel into a clean environment and sums the files of each package but pip.",
        f"{folder.parent.name.replace('python', 'Python ')}, Linux, x86-64.",
        "",
        "| package | version | files, MB | byte code, MB |",
        "|---|---|---|---|",
    ]
    lines += [f"| {name} | {version} | {a:.1f} | {b:.1f} |" for a, b, name, version in large]
    small = rows[len(large) :]
    lines.append(f"| {len(small)} others | | {sum(row[0] for row in small):.1f} | {sum(row[1] for row in small):.1f} |")
    files, compiled = sum(row[0] for row in rows), sum(row[1] for row in rows)
    lines.append(f"| **all** | | **{files:.0f}** | **{compiled:.0f}** |")
    lines += [
        "",
        f"Together {files + compiled:.0f} MB, or {files:.0f} MB with `pip install --no-compile`. ONNX Runtime requires",
        "NumPy, whose OpenBLAS alone has 25 MB. The model has 9 MB. cyclopts requires rich, and rich Pygments;",
        "pydantic checks recipes.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("environment", type=Path, help="folder of the environment")
    parser.add_argument("-o", "--out", type=Path, required=True, help="page to write")
    args = parser.parse_args()
    atomic_write_text(args.out, page(args.environment))


if __name__ == "__main__":
    main()
