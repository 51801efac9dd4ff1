"""``mddnet evaluate``: measure a model on held-out captures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Alteration = Literal[
    "grey", "jpeg", "darker", "brighter", "halved", "mirrored", "turned-90", "turned-180", "turned-270", "tiles"
]
"""That of :mod:`mddnet.evaluate.alteration`, which is too heavy to import for ``--help``."""
Alignment = Literal["none", "scale", "scale-and-shift"]
"""That of :mod:`mddnet.evaluate.alignment`, too."""


def evaluate(
    model: str = "small",
    /,
    *,
    scenes: Path,
    data: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    split: Literal["dev", "train"] = "dev",
    only: str | None = None,
    speed: Annotated[bool, Parameter(negative="")] = False,
    alter: Alteration | None = None,
    cues: Annotated[bool, Parameter(negative="")] = False,
    peers: Annotated[list[str] | None, Parameter(name="--with", negative="")] = None,
    alignment: Alignment = "scale-and-shift",
    blur_threshold: float | None = None,
    frames: int | None = None,
    scenes_per_place: int = 8,
    seed: int = 0,
    threads: int | None = None,
) -> int:
    """Measure a model on held-out captures, print the tables, and write evaluation.json and evaluation.md.

    Every number stands beside its baseline: depth order beside "lower in the picture is nearer" and beside itself on
    the photo turned upside down, defocus order beside plain negative sharpness, CoC size beside the best constant,
    confidence beside a constant one. docs/evaluation.md explains every measure.

    Parameters
    ----------
    model
        A shipped model, a model folder or a .zip of one, or hf://owner/name (extra hub).
    scenes
        Folder of built scenes: what mddnet build wrote.
    data
        Folder of the captures, with split.csv and pairs/.
    out
        Folder for evaluation.json and evaluation.md; made if it is missing.
    split
        Side of the split to measure on.
    only
        Parts to measure, separated by commas: focal_stacks, light_fields, rgbd, stereo, pairs, coc_slope, psf_shapes;
        default all.
    speed
        Time the network alone at 384 x 512, too.
    alter
        Change every photo first: grey (no colour of blur), jpeg (quality 75, halved colour), darker or brighter (one
        stop), halved (in size), mirrored, turned-90, turned-180, turned-270, or tiles (each of 12 seen alone).
    cues
        Measure focal stacks and light fields as they are and after each of these changes, side by side, and write
        cues.json and cues.md instead. Takes 25 times as long as the focal stacks alone.
    peers
        Measure another method on the same photos, side by side; may be given more than once. zhuo-sim (two seconds a
        photo; needs the extra build), laplacian, tenengrad, local-variance, the path of an ONNX file with a description
        of the same name ending in .toml beside it, or a model folder.
    alignment
        Of inverse depth with the truth, for the measures in metres; always robust.
    blur_threshold
        A pixel is blurred where its CoC exceeds so many pixels of the photo; default 3.
    frames
        Most photos of a scene; default 6 of a focal stack or light field, 3 of stereo, 2 of RGB-D.
    scenes_per_place
        Most scenes of one place, spread evenly.
    seed
        Seed of the random pixel pairs; the same seed gives the same numbers.
    threads
        Processor cores to use at most.
    """
    from mddnet.evaluate import PARTS

    parts = PARTS if only is None else tuple(part.strip() for part in only.split(",") if part.strip())
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        print(f"mddnet evaluate: --only {only}: expected some of {','.join(PARTS)}", file=sys.stderr)
        return 2
    for flag, value in (("frames", frames), ("scenes-per-place", scenes_per_place), ("threads", threads)):
        if value is not None and value < 1:
            print(f"mddnet evaluate: --{flag} is {value}; expected at least 1", file=sys.stderr)
            return 2

    if blur_threshold is not None and not blur_threshold > 0:
        print(f"mddnet evaluate: --blur-threshold is {blur_threshold}; expected a positive number", file=sys.stderr)
        return 2
    if cues and (alter or only or speed or peers):
        print(
            "mddnet evaluate: --cues has its own photos; expected no --alter, --only, --speed or --with",
            file=sys.stderr,
        )
        return 2
    if peers and len(set(peers)) < len(peers):
        print(f"mddnet evaluate: --with {' --with '.join(peers)}: expected each method once", file=sys.stderr)
        return 2

    # Imported after the flags were checked: wrong usage answers at once.
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mddnet.evaluate import Altered, evaluate_model, print_tables, write_evaluation
    from mddnet.evaluate.cues import cue_tables, study_cues, write_cue_study
    from mddnet.evaluate.frame_measures import BLUR_THRESHOLD_PX
    from mddnet.evaluate.peers import find_peer
    from mddnet.evaluate.tables import print_result_tables
    from mddnet.predict.predictor import load

    predictor = load(model, threads)
    beside = [find_peer(peer, threads) for peer in peers or ()]
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    complaints = Console(stderr=True)
    with Progress(*columns, console=complaints, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=None, rate="")
        started = time.monotonic()

        def show(done: int, total: int, what: str) -> None:
            rate = f"{done / max(time.monotonic() - started, 1e-9):.1f}/s"
            progress.update(task, completed=done, total=total, description=what, rate=rate)

        if cues:
            study = study_cues(
                predictor,
                scenes,
                data,
                split,
                name=f"{predictor.name} {predictor.version}",
                frames_per_scene=frames,
                seed=seed,
                on_progress=show,
            )
        else:
            evaluation = evaluate_model(
                predictor if alter is None else Altered(predictor, alter),
                scenes,
                data,
                split,
                parts,
                name=f"{predictor.name} {predictor.version}" + ("" if alter is None else f", photos altered: {alter},"),
                frames_per_scene=frames,
                scenes_per_place=scenes_per_place,
                seed=seed,
                speed=speed,
                peers=beside,
                alignment="scale_and_shift" if alignment == "scale-and-shift" else alignment,
                blur_threshold_px=BLUR_THRESHOLD_PX if blur_threshold is None else blur_threshold,
                on_progress=show,
            )
    if cues:
        tables = cue_tables(study)
        written = write_cue_study(study, out)
        print_result_tables(tables, Console())
        print(f"{study.seconds:.0f} s -> {', '.join(str(path) for path in written)}")
        return 1 if study.failures else 0
    written = write_evaluation(evaluation, out)
    print_tables(evaluation, Console())
    print(f"{evaluation.seconds:.0f} s -> {', '.join(str(path) for path in written)}")
    for what, why in evaluation.failures:
        print(f"mddnet: {what}: {why}", file=sys.stderr)
    return 1 if evaluation.failures else 0
