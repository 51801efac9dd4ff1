"""``mddnet label``: pseudo-depth labels for sharp photos, with a teacher model."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def label(
    sources: list[Path],
    /,
    *,
    teacher: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    mirror: float = 0.9,
    middle: float = 0.85,
    law: float = 0.8,
    known: float = 0.6,
    limit: int | None = None,
    threads: int | None = None,
) -> int:
    """Create pseudo-depth labels for sharp photos with a teacher model, and keep what passes its checks.

    OUT/pseudo gets the photos, their depth and manifest.csv; `mddnet build OUT` renders focused frames from them, whose
    provenance says pseudo. OUT/pseudo/rejected.csv says which check refused the others. The teacher runs on the photo,
    its mirror image and its middle, and must order pixels alike; where frames were photographed, its order must be that
    of the depth by their blur. Stop it at any time: the same command goes on where it stopped.

    Parameters
    ----------
    sources
        Data roots (with photos/manifest.csv inside), and folders of built scenes, of whose photographed scenes the
        sharp image is taken.
    teacher
        The path of an ONNX file with a description of the same name ending in .toml beside it, the folder of a model
        of transformers (Depth Anything, DPT; needs the extra baselines), or a model folder of mddnet.
    out
        Data root to write to; made if it is missing.
    mirror
        Least share of pixel pairs in one order between a photo and its mirror image.
    middle
        The same between a photo and its middle alone.
    law
        The same between a photo and the depth by blur, where there is any.
    known
        Least share of the pixels at which photo and mirror image get about the same depth.
    limit
        At most that many photos of each source, spread evenly over it.
    threads
        Processor cores to use at most.
    """
    for flag, share in (("--mirror", mirror), ("--middle", middle), ("--law", law), ("--known", known)):
        if not 0 <= share <= 1:
            print(f"mddnet label: {flag} is {share}; expected a share from 0 to 1", file=sys.stderr)
            return 2
    for flag, value in (("--limit", limit), ("--threads", threads)):
        if value is not None and value < 1:
            print(f"mddnet label: {flag} is {value}; expected at least 1", file=sys.stderr)
            return 2

    # Imported after the flags were checked: wrong usage answers at once.
    from rich.console import Console
    from rich.progress import track

    from mddnet.errors import ModelError
    from mddnet.evaluate.baselines import find_baseline
    from mddnet.evaluate.label import label_photos, plan_labels, teacher_digest
    from mddnet.evaluate.methods import DEPTH_QUANTITIES
    from mddnet.evaluate.pseudo_labels import Checks

    tasks = plan_labels(sources, limit)
    method = find_baseline(teacher, threads)
    if not set(method.quantities) & set(DEPTH_QUANTITIES):
        raise ModelError(f"{teacher}: states {', '.join(method.quantities)}; expected {' or '.join(DEPTH_QUANTITIES)}")
    console = Console(stderr=True)
    states: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    checks = Checks(mirror, middle, law, known)
    with closing(label_photos(tasks, method, teacher_digest(teacher, method), out, checks)) as rows:
        shown = track(rows, "labelling", len(tasks), console=console, disable=not console.is_terminal, transient=True)
        for row in shown:
            states[row.state] += 1
            if row.state == "failed":
                print(f"mddnet: {row.task.source}/{row.task.name}: {row.reason}", file=sys.stderr)
            elif row.state == "rejected":
                refused[row.reason.partition(" ")[0]] += 1
    why = "".join(f", {count} by {name}" for name, count in sorted(refused.items()))
    print(
        f"{states['labelled'] + states['kept']} of {len(tasks)} photos labelled ({states['kept']} kept), "
        f"{states['rejected']} rejected{why} -> {out / 'pseudo'}"
    )
    return 1 if states["failed"] else 0
