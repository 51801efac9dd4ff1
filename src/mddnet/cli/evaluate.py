"""``mddnet evaluate``: measure a model on held-out captures or on a public data set."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from mddnet.cli.flags import POSITIVE, Count, Flag, OutFolder, Positive, WrongUsage


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Data and options of an evaluation.

    Attributes:
        scenes: Folder of scenes built by mddnet build.
        data: Folder of the captures, with split.csv and pairs/.
        dataset: A public data set instead of captures: nyu-mat, nyu-png, kitti, middlebury-2014, ddff12, syndof.
        root: Folder of the data set, in the layout of its authors.
        split: Split of the captures.
        only: Parts to measure, separated by commas: focal_stacks, light_fields, rgbd, stereo, all_in_3d, rigs, pairs,
            coc_slope, psf_shapes; default all.
        speed: Measure the speed of the network at 384 x 512.
        baseline: Another method to measure on the same photos; may be repeated. zhuo-sim (two seconds per photo;
            extra build), laplacian, tenengrad, local-variance, the path of an ONNX file with a
            description of the same name ending in .toml in its folder, the folder of a transformers model (Depth
            Anything, DPT, GLPN, Depth Pro; extra baselines), or a model folder of mddnet.
        alignment: What is fitted to the truth before errors in metres are computed.
        align_in: Quantity in which depth is aligned.
        fit: Method of the alignment, robust (Huber) or least-squares.
        blur_threshold: A pixel is blurred where its CoC exceeds this, in pixels of the photo.
        crop: Crop of a public data set, published (the usual one) or none.
        cap: Largest evaluated depth of a public data set, in metres; published (the usual one) or none.
        limit: Largest number of photos of a public data set, spread evenly.
        checksums: Verify the files of a public data set whose checksum is known.
        frames: Largest number of photos per scene; default 6, for stereo 3, for RGB-D 2.
        scenes_per_location: Largest number of scenes per location, spread evenly.
        seed: Seed of the random pixel pairs; the same seed gives the same numbers.
        threads: Largest number of processor cores.
    """

    scenes: Path | None = None
    data: Path | None = None
    dataset: str | None = None
    root: Path | None = None
    split: Literal["dev", "train"] = "dev"
    only: str | None = None
    speed: Flag = False
    baseline: Annotated[list[str] | None, Parameter(negative="")] = None
    alignment: Literal["none", "scale", "scale-and-shift"] = "scale-and-shift"
    align_in: Literal["inverse-depth", "depth"] = "inverse-depth"
    fit: Literal["robust", "least-squares"] = "robust"
    blur_threshold: Positive = 3.0
    crop: Literal["published", "none"] = "published"
    cap: Annotated[Literal["published", "none"] | float, POSITIVE] = "published"
    limit: Count | None = None
    checksums: Flag = False
    frames: Count | None = None
    scenes_per_location: Count = 8
    seed: int = 0
    threads: Count | None = None

    def check(self) -> None:
        """WrongUsage for flags that do not go together."""
        names = self.baseline or []
        if len(set(names)) < len(names):
            raise WrongUsage(f"--baseline {' --baseline '.join(names)}: expected each method once")
        of_dataset = (self.root is not None, self.crop != "published", self.cap != "published", self.checksums)
        if self.dataset is None:
            if any(of_dataset) or self.limit is not None:
                raise WrongUsage("--root, --crop, --cap, --limit and --checksums need --dataset")
            if self.scenes is None or self.data is None:
                raise WrongUsage("expected --scenes and --data, or --dataset and --root")
        elif self.root is None or self.scenes or self.data or self.only is not None or self.speed:
            raise WrongUsage(f"--dataset {self.dataset}: expected --root, and no --scenes, --data, --only or --speed")


def evaluate(model: str = "small", /, *, out: OutFolder, options: EvaluateOptions = EvaluateOptions()) -> int:
    """Measure a model, print the tables, and write evaluation.json, evaluation.md and report.html.

    On held-out captures (--scenes, --data), numbers are listed with references: ordinal accuracy of depth with the
    vertical-position prior and with its value on the photo rotated by 180 degrees, that of defocus with negative
    sharpness, the CoC with the best constant, confidence with a constant one. On a public data set (--dataset, --root),
    tables list mask, crop, cap and alignment. docs/evaluation.md explains all metrics, docs/public-sets.md all data
    sets. report.html needs the extra report.

    Args:
        model: A shipped model, or a model folder.
        out: Folder for the results; created if missing.
    """
    from mddnet.evaluate import PARTS

    options.check()
    parts = PARTS if options.only is None else tuple(part.strip() for part in options.only.split(",") if part.strip())
    if not (parts and set(parts) <= set(PARTS)):
        raise WrongUsage(f"--only {options.only}: expected some of {','.join(PARTS)}")

    # Imported after the check of the flags, so that wrong usage fails fast.
    from rich.console import Console

    from mddnet.cli.progress import step_bar
    from mddnet.evaluate import Options, evaluate_dataset, evaluate_model, print_tables, write_evaluation
    from mddnet.evaluate.baselines import find_baseline
    from mddnet.evaluate.datasets import find_dataset
    from mddnet.metrics import AlignmentChoice
    from mddnet.predict.predictor import load

    predictor = load(model, options.threads)
    dataset = None if options.dataset is None else find_dataset(options.dataset)
    domain, fit = options.align_in.replace("-", " "), options.fit.replace("-", "_")
    shared: dict[str, Any] = {
        "name": f"{predictor.name} {predictor.version}",
        "options": Options(
            seed=options.seed,
            frames_per_scene=options.frames,
            scenes_per_location=options.scenes_per_location,
            alignment=AlignmentChoice(options.alignment.replace("-", "_"), domain, fit),  # type: ignore[arg-type]
            blur_threshold_px=options.blur_threshold,
        ),
        "baselines": [find_baseline(name, options.threads) for name in options.baseline or ()],
    }
    with step_bar() as step:
        shared["on_progress"] = lambda done, total, what: step(what, done, total)
        if dataset is None or options.root is None:  # both or neither, as checked
            where = options.scenes, options.data, options.split, parts
            evaluation = evaluate_model(predictor, *where, speed=options.speed, **shared)
        else:
            shared |= {"limit": options.limit, "crop": options.crop, "cap_m": options.cap}
            evaluation = evaluate_dataset(predictor, dataset, options.root, checksums=options.checksums, **shared)
    written = write_evaluation(evaluation, out)
    print_tables(evaluation, Console())
    if dataset is not None:
        print(dataset.origin())
    print(f"{evaluation.seconds:.0f} s -> {', '.join(str(path) for path in written)}")
    for what, why in evaluation.failures:
        print(f"mddnet: {what}: {why}", file=sys.stderr)
    return 1 if evaluation.failures else 0
