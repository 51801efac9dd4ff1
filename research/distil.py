"""What pseudo sets and a larger teacher give the small model: three arms by three seeds, judged on the dev places.

    python research/distil.py --scenes work/scenes --data ../shared/data --start work/run-third/model \\
        --large work/run-large/model --work work/distil

``--scenes`` holds pseudo sets, too (``mddnet probe``, ``label`` and ``build``), ``--start`` is what all arms go on
from, ``--large`` what recipes/large.toml gave. Trains recipes/pseudo.toml without pseudo sets, as it is, and with the
terms that distil; exports and evaluates each, and writes docs/results/distil.md. What is done is not done again: after
Ctrl-C the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mddnet.io.atomic import atomic_write_text
from mddnet.model.folder import CARD_FILE

RECIPE = Path(__file__).parents[1] / "recipes/pseudo.toml"
OUT = Path(__file__).parents[1] / "docs" / "results" / "distil.md"
ARMS: dict[str, dict[str, float]] = {
    "trained on": {"data.mixture.photos": 0.29, "data.mixture.pseudo": 0},
    "pseudo sets": {},
    "pseudo sets and large": {"loss.distil_sign": 0.5, "loss.distil_features": 1},
}
SEEDS = (1, 2, 3)
KINDS = {"focal_stacks": "focal stacks", "light_fields": "light field", "rgbd": "RGB-D", "stereo": "stereo"}
ROWS = {
    "depth_ordinal": "depth",
    "depth_ordinal_rotated": "depth, rotated",
    "sign_accuracy": "side",
    "defocus_ordinal": "order of defocus",
    "coc_mae_px": "CoC error, px",
}
FEW = ("--frames", "2", "--scenes-per-place", "2", "--only", ",".join((*KINDS, "pairs")))
"""A look at every dev place, and the pairs; the whole evaluation takes four times as long."""


def main() -> int:
    """Train, evaluate and write what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    for flag in ("scenes", "data", "start", "large", "work"):
        parser.add_argument(f"--{flag}", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="only write the table of what is there")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    todo = [] if args.table else [("small", None), ("large", None), *((arm, seed) for seed in SEEDS for arm in ARMS)]
    with ThreadPoolExecutor(args.jobs) as pool:
        failed = [what for what, code in zip(todo, pool.map(lambda one: _do(*one, args), todo), strict=True) if code]
    for arm, seed in failed:
        print(f"{arm}, seed {seed}: failed, see the logs in {args.work}", file=sys.stderr)
    _write_table(args.work)
    return 1 if failed else 0


def _folder(arm: str, seed: int | None) -> str:
    return arm.replace(" ", "-") + ("" if seed is None else f"-{seed}")


def _do(arm: str, seed: int | None, args: argparse.Namespace) -> int:
    folder = args.work / _folder(arm, seed)
    if (folder / "evaluation/evaluation.json").is_file():
        return 0
    model = folder / "model"
    commands = []
    if not (model / CARD_FILE).is_file():  # what an export writes last
        weights = args.large if arm == "large" else args.start
        if seed is not None:
            weights = folder / "run/model"
            sets: dict[str, object] = {"train.seed": seed, "train.out": folder / "run", "data.scenes": args.scenes}
            sets |= {"train.start_from": args.start, "data.split": args.data / "split.csv", **ARMS[arm]}
            if "loss.distil_sign" in sets:
                sets["train.teacher"] = args.large
            flags = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
            commands.append(["train", str(RECIPE), *flags])
        commands.append(["export", str(weights), "-o", str(model)])
    commands.append(["evaluate", str(model), "--scenes", str(args.scenes), "--data", str(args.data), *FEW])
    commands[-1] += ["-o", str(folder / "evaluation"), "--threads", "1"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        for command in commands:
            called = [sys.executable, "-m", "mddnet", *command]
            done = subprocess.run(called, stdout=log, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                return done.returncode
    return 0


def _write_table(work: Path) -> None:
    found: dict[str, list[dict[str, float]]] = {}
    places: dict[tuple[str, str], dict[str, list[dict[str, float]]]] = {}
    for arm in ("small", *ARMS, "large"):
        for seed in (None,) if arm in ("small", "large") else SEEDS:
            path = work / _folder(arm, seed) / "evaluation/evaluation.json"
            if not path.is_file():
                continue
            evaluation = json.loads(path.read_text(encoding="utf-8"))
            found.setdefault(arm, []).append(evaluation["headline"])
            for kind in KINDS:
                for place, measures in evaluation["kinds"][kind]["locations"].items():
                    places.setdefault((kind, place), {}).setdefault(arm, []).append(measures)
    heads = [f"{arm} ({len(runs)})" if arm in ARMS else arm for arm, runs in found.items()]
    lines = [
        "# Pseudo sets and a larger teacher",
        "",
        "`make table-distil`: recipes/pseudo.toml and its arms, each from what recipes/small-third.toml "
        f"gave (`small`; it shipped before), judged on all dev places (`mddnet evaluate MODEL {' '.join(FEW)}`). "
        "Mean and range over the seeds.",
        "",
        "| | " + " | ".join(heads) + " |",
        "|---|" + "---|" * len(found),
    ]
    rows = {
        f"{words}, {kind_words}": f"{kind}.{key}" for key, words in ROWS.items() for kind, kind_words in KINDS.items()
    }
    rows |= {"near/far pairs, mean": "pairs.near_far_accuracy", "near/far pairs, worst": "pairs.near_far_worst"}
    for words, key in rows.items():
        lines.append(f"| {words} | " + " | ".join(_cell([run[key] for run in runs]) for runs in found.values()) + " |")
    lines += ["", "Order of depth by place, upright / turned, means over the seeds:", ""]
    lines += ["| kind | place | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(found)]
    for (kind, place), by_arm in places.items():
        cells = [
            " / ".join(_mean([run.get(key, np.nan) for run in by_arm[arm]]) for key in tuple(ROWS)[:2]) for arm in found
        ]
        lines.append(f"| {KINDS[kind]} | {place.partition('/')[2] or place} | " + " | ".join(cells) + " |")
    atomic_write_text(OUT, "\n".join(lines) + "\n")
    print(f"{OUT}")


def _mean(values: list[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    return f"{np.mean(known):.3f}" if known else "-"


def _cell(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    sys.exit(main())
