"""``mddnet evaluate``: measure a model on held-out captures or on a public set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from mddnet.evaluate.alignment import AlignmentChoice

Alteration = Literal[
    "grey", "jpeg", "darker", "brighter", "halved", "mirrored", "turned-90", "turned-180", "turned-270", "tiles"
]
"""That of :mod:`mddnet.evaluate.alteration`, which is too heavy to import for ``--help``."""
Alignment = Literal["none", "scale", "scale-and-shift"]
"""Those of :mod:`mddnet.evaluate.alignment`, too."""
AlignIn = Literal["inverse-depth", "depth"]
Fit = Literal["robust", "least-squares"]


def evaluate(
    model: str = "small",
    /,
    *,
    scenes: Path | None = None,
    data: Path | None = None,
    public_set: Annotated[str | None, Parameter(name="--set")] = None,
    root: Path | None = None,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    split: Literal["dev", "train"] = "dev",
    only: str | None = None,
    speed: Annotated[bool, Parameter(negative="")] = False,
    alter: Alteration | None = None,
    cues: Annotated[bool, Parameter(negative="")] = False,
    peers: Annotated[list[str] | None, Parameter(name="--with", negative="")] = None,
    alignment: Alignment = "scale-and-shift",
    align_in: AlignIn = "inverse-depth",
    fit: Fit = "robust",
    blur_threshold: float | None = None,
    crop: Literal["published", "none"] = "published",
    cap: str = "published",
    limit: int | None = None,
    checksums: Annotated[bool, Parameter(negative="")] = False,
    frames: int | None = None,
    scenes_per_place: int = 8,
    seed: int = 0,
    threads: int | None = None,
) -> int:
    """Measure a model, print the tables, and write evaluation.json, evaluation.md and report.html.

    On held-out captures (--scenes, --data) every number stands beside its baseline: depth order beside "lower in the
    picture is nearer" and beside itself on the photo turned upside down, defocus order beside plain negative sharpness,
    CoC size beside the best constant, confidence beside a constant one. On a public set (--set, --root) mask, crop, cap
    and alignment stand beside every table. docs/evaluation.md explains every measure, docs/public-sets.md every set.

    Parameters
    ----------
    model
        A shipped model, or a model folder.
    scenes
        Folder of built scenes: what mddnet build wrote.
    data
        Folder of the captures, with split.csv and pairs/.
    public_set
        A public set instead of captures: nyu-mat, nyu-png, kitti, ddff12, defocusnet, hci, zedd, idfd, all-in-3d,
        middlebury-2014, middlebury-2006, syndof, rtf, ded, cuhk, dut-dbd, lfdof, dpdd, realdof.
    root
        Folder that holds the files of the set as its authors publish them.
    out
        Folder for the results; made if it is missing.
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
        Measure another method on the same photos, side by side, and write sheet.jpg; may be given more than once.
        zhuo-sim or karaali-jung (two seconds a photo and one; need the extra build), laplacian, tenengrad,
        local-variance, the path of an ONNX file with a description of the same name ending in .toml beside it, the
        folder of a model of transformers (Depth Anything, DPT, GLPN, Depth Pro; needs the extra peers), or a model
        folder.
    alignment
        What is free before depth is compared in metres.
    align_in
        The quantity in which it is free: inverse-depth, or depth.
    fit
        How it is fitted: robust (Huber) or least-squares.
    blur_threshold
        A pixel is blurred where its CoC exceeds so many pixels of the photo; default 3.
    crop
        Of a public set: the crop that its users apply, or none.
    cap
        Of a public set: the largest depth that counts, in metres; published, or none.
    limit
        Of a public set: most photos, spread evenly over it.
    checksums
        Of a public set: compare the files whose checksum is known, first.
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
        return _wrong(f"--only {only}: expected some of {','.join(PARTS)}")
    counts = (("frames", frames), ("scenes-per-place", scenes_per_place), ("threads", threads), ("limit", limit))
    for flag, value in counts:
        if value is not None and value < 1:
            return _wrong(f"--{flag} is {value}; expected at least 1")
    if blur_threshold is not None and not blur_threshold > 0:
        return _wrong(f"--blur-threshold is {blur_threshold}; expected a positive number")
    if cues and (alter or only or speed or peers or public_set):
        return _wrong("--cues has its own photos; expected no --alter, --only, --speed, --with or --set")
    if peers and len(set(peers)) < len(peers):
        return _wrong(f"--with {' --with '.join(peers)}: expected each method once")
    if public_set is None:
        of_sets = (root is not None, crop != "published", cap != "published", limit is not None, checksums)
        if any(of_sets):
            return _wrong("--root, --crop, --cap, --limit and --checksums go with --set")
        if scenes is None or data is None:
            return _wrong("expected --scenes and --data, or --set and --root")
    elif root is None or scenes is not None or data is not None or only is not None or speed:
        return _wrong(f"--set {public_set}: expected --root, and no --scenes, --data, --only or --speed")
    cap_m = _cap(cap)
    if cap_m is None:
        return _wrong(f"--cap is {cap}; expected a positive number of metres, published or none")

    # Imported after the flags were checked: wrong usage answers at once.
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mddnet.evaluate import Altered, evaluate_model, print_tables, write_evaluation
    from mddnet.evaluate.cues import cue_tables, study_cues, write_cue_study
    from mddnet.evaluate.frame_measures import BLUR_THRESHOLD_PX
    from mddnet.evaluate.peers import find_peer
    from mddnet.evaluate.public_sets import find_set
    from mddnet.evaluate.set_harness import evaluate_set
    from mddnet.evaluate.tables import print_result_tables
    from mddnet.predict.predictor import load

    asked_set = None if public_set is None else find_set(public_set)
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
            assert scenes is not None
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
            measured = predictor if alter is None else Altered(predictor, alter)
            name = f"{predictor.name} {predictor.version}"
            name += "" if alter is None else f", photos altered: {alter},"
            choice = _choice(alignment, align_in, fit)
            threshold_px = BLUR_THRESHOLD_PX if blur_threshold is None else blur_threshold
            if asked_set is None:
                evaluation = evaluate_model(
                    measured,
                    scenes,
                    data,
                    split,
                    parts,
                    name=name,
                    frames_per_scene=frames,
                    scenes_per_place=scenes_per_place,
                    seed=seed,
                    speed=speed,
                    peers=beside,
                    alignment=choice,
                    blur_threshold_px=threshold_px,
                    on_progress=show,
                )
            else:
                assert root is not None
                evaluation = evaluate_set(
                    measured,
                    asked_set,
                    root,
                    name=name,
                    limit=limit,
                    crop=crop,
                    cap_m=cap_m,
                    seed=seed,
                    peers=beside,
                    alignment=choice,
                    blur_threshold_px=threshold_px,
                    checksums=checksums,
                    on_progress=show,
                )
    if cues:
        tables = cue_tables(study)
        cue_files = write_cue_study(study, out)
        print_result_tables(tables, Console())
        print(f"{study.seconds:.0f} s -> {', '.join(str(path) for path in cue_files)}")
        return 1 if study.failures else 0
    written = write_evaluation(evaluation, out)
    print_tables(evaluation, Console())
    if asked_set is not None:
        print(f"{asked_set.title}: {asked_set.source}. Licence: {asked_set.licence}.")
        if asked_set.unverified:
            print(f"Unverified: {asked_set.basis}.")
    print(f"{evaluation.seconds:.0f} s -> {', '.join(str(path) for path in written)}")
    for what, why in evaluation.failures:
        print(f"mddnet: {what}: {why}", file=sys.stderr)
    return 1 if evaluation.failures else 0


def _wrong(why: str) -> int:
    print(f"mddnet evaluate: {why}", file=sys.stderr)
    return 2


def _cap(text: str) -> float | Literal["published", "none"] | None:
    if text == "published" or text == "none":
        return text  # type: ignore[return-value]
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def _choice(alignment: Alignment, align_in: AlignIn, fit: Fit) -> AlignmentChoice:
    from mddnet.evaluate.alignment import AlignmentChoice

    return AlignmentChoice(
        kind="scale_and_shift" if alignment == "scale-and-shift" else alignment,
        domain="depth" if align_in == "depth" else "inverse depth",
        method="robust" if fit == "robust" else "least_squares",
    )
