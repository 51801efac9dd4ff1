"""``mddnet label``: pseudo-depth labels for sharp photos, with a teacher model."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from mddnet.cli.flags import Count, OutFolder, Share


def label(
    sources: list[Path],
    /,
    *,
    teacher: str,
    out: OutFolder,
    mirror: Share = 0.9,
    middle: Share = 0.85,
    law: Share = 0.8,
    known: Share = 0.6,
    limit: Count | None = None,
    threads: Count | None = None,
) -> int:
    """Create pseudo-depth labels for sharp photos with a teacher model, and keep those that pass the checks.

    OUT/pseudo contains the photos, their depth and manifest.csv; `mddnet build OUT` renders focused frames from them,
    with the provenance pseudo. OUT/pseudo/rejected.csv lists the rejected photos and the failed check. The teacher runs
    on the photo, its mirror image and its centre crop, and must order pixels consistently; for scenes with photographed
    frames, also consistently with depth from focus. An interrupted command can be repeated to continue.

    Args:
        sources: Data roots (with photos/manifest.csv), and folders of built scenes, whose all-in-focus images are
            labelled.
        teacher: The path of an ONNX file with a description of the same name ending in .toml in its folder, the folder
            of a transformers model (Depth Anything, DPT; extra baselines), or a model folder of mddnet.
        out: Data root for the results; created if missing.
        mirror: Minimum share of pixel pairs in the same order in a photo and its mirror image.
        middle: Minimum share of pixel pairs in the same order in a photo and its centre crop.
        law: Minimum share of pixel pairs in the same order as depth from focus, where available.
        known: Minimum share of pixels with similar depth in photo and mirror image.
        limit: Largest number of photos of each source, spread evenly.
        threads: Largest number of processor cores.
    """
    from mddnet.cli.progress import with_progress
    from mddnet.errors import ModelError
    from mddnet.evaluate.baselines import find_baseline
    from mddnet.evaluate.label import label_photos, plan_labels, teacher_digest
    from mddnet.evaluate.methods import can_estimate
    from mddnet.evaluate.pseudo_labels import Checks

    tasks = plan_labels(sources, limit)
    method = find_baseline(teacher, threads)
    if not can_estimate(method, "depth"):
        raise ModelError(f"{teacher}: estimates {', '.join(method.quantities)}; expected inv_depth or depth_m")
    states: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    checks = Checks(mirror, middle, law, known)
    with closing(label_photos(tasks, method, teacher_digest(teacher, method), out, checks)) as rows:
        for row in with_progress("labelling", rows, len(tasks)):
            states[row.state] += 1
            if row.state == "failed":
                print(f"mddnet: {row.task.source}/{row.task.name}: {row.reason}", file=sys.stderr)
            elif row.state == "rejected":
                rejected[row.reason.partition(" ")[0]] += 1
    why = "".join(f", {count} by {name}" for name, count in sorted(rejected.items()))
    print(
        f"{states['labelled'] + states['kept']} of {len(tasks)} photos labelled ({states['kept']} kept), "
        f"{states['rejected']} rejected{why} -> {out / 'pseudo'}"
    )
    return 1 if states["failed"] else 0
