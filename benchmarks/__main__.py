"""Tables of the shipped model: ``python -m benchmarks NAME...`` (or ``all``) writes ``docs/results/NAME.md``.

A benchmark is one module with ``run(settings) -> str``, the text of its page; a new one needs a line in
:data:`BENCHMARKS`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

from benchmarks.settings import Settings
from cyclopts import App, Parameter

from mddnet.io.atomic import atomic_write_text

BENCHMARKS = {
    "ablation": "perturbed photos",
    "corruption": "motion blur, sharpening, computed bokeh, haze and unusual lenses",
    "depth-prior": "depth of another network or tool, fused with the blur",
    "evaluation-speed": "processor time of an evaluation and of the network",
    "metres": "metric depth of single frames with a known lens",
    "multi-scale": "a second pass at twice the resolution",
    "out-of-distribution": "photos without depth, focus or light",
    "refocus": "refocused frames of focal stacks, compared with real frames",
    "precision": "half precision and int8, compared with the shipped graph",
    "sharp": "blur, depth edges and the camera on sharp photos",
    "verdict": "verdicts and expected errors on photos with known depth and defocus",
}
"""By name; the module has the same name, with an underscore for a hyphen."""


def main(
    *names: str,
    settings: Annotated[Settings, Parameter(name="*")] = Settings(),  # noqa: B008 - frozen
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("docs/results"),
) -> int:
    """Run benchmarks, and write one page for each.

    Parameters
    ----------
    names
        Names of benchmarks, or all.
    out
        Folder of the pages.
    """
    chosen = tuple(BENCHMARKS) if names == ("all",) else names
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown or not chosen:
        known = "".join(f"\n  {name:20} {what}" for name, what in BENCHMARKS.items())
        print(f"benchmark {', '.join(unknown) or 'missing'}: expected all, or some of{known}", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        page = import_module(f"benchmarks.{name.replace('-', '_')}").run(settings)
        atomic_write_text(out / f"{name}.md", page)
        print(page)
    return 0


if __name__ == "__main__":
    sys.exit(App(default_command=main, help_format="plaintext")() or 0)
