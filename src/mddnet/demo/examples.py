"""Example photos: those of scikit-image that are in the public domain (CC0), where that package is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

EXAMPLES = {
    "Cat": ("chelsea.png", "Chelsea, by Stefan van der Walt, CC0"),
    "Coffee": ("coffee.png", "Coffee, by Rachel Michetti, CC0"),
}
"""Name of an example to its file in the package, and whose it is."""


def find_examples() -> dict[str, Path]:
    """The example photos that are there: name to file. The package itself is not imported."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    found = {name: folder / file for name, (file, _) in EXAMPLES.items()}
    return {name: path for name, path in found.items() if path.is_file()}
