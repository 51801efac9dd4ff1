"""What the pages of ``docs/results`` that one study each writes have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from mddnet.io.atomic import atomic_write_text


def bin_names(limits: Sequence[float]) -> list[str]:
    """Names of the bins between limits: ``0 to 0.5``, and ``4 and more`` where the last limit is infinite."""
    return [f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} and more" for low, high in pairwise(limits)]


def write_result_page(out: Path, text: str) -> None:
    """Write a page whole, its folder made if it is missing, and print it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(out, text)
    print(text)
