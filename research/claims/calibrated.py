"""The defocus of networks of the ladder once their curves are set, as the last step of training the shipped model is.

    python -m research.claims.calibrated --scenes work/scenes --data ../shared/data --work work/claims \\
        -o docs/results/claims/calibrated.csv defocus-long-0 full-long-0

Networks are compared as they come out of training; one that reads all blur too small loses by that, though it may see
blur as well as another. Here sharp photos blurred by discs and captured stacks, both of what a network was trained on,
set its curve first. The table gets the lines of the runs that are named; the others stay.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from research.claims.measure import Answer
from research.claims.methods import Network
from research.claims.plan import recipe, sides
from research.claims.results import read_lines, write_lines
from research.claims.rig import rig_scenes
from research.claims.run import every_scene, lines_of, parser_for_networks

from mddnet.data.scene_pool import SceneEntry
from mddnet.model.network import MDDNet
from mddnet.train.defocus_response import fit_curve, photos_of_scenes, stretch_to_stacks
from mddnet.types import UInt8Array


class Defocus:
    """A network's defocus map alone, its curve set."""

    def __init__(self, model: Path, training: Sequence[SceneEntry]) -> None:
        """Of a model folder, with the scenes that it was trained on.

        Raises:
            ValueError: if the network has no defocus map, or reads larger discs as smaller.
        """
        network = MDDNet.from_pretrained(model)
        if not fit_curve(network, photos_of_scenes(training)):
            raise ValueError(f"{model}: its answers to discs set no curve; expected a defocus map that rises with them")
        self.gain = stretch_to_stacks(network, training)
        self._network = Network(network)

    def answer(self, photo: UInt8Array, /) -> Answer:
        return Answer(defocus_px=self._network.answer(photo).defocus_px)


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_for_networks("python -m research.claims.calibrated", __doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args(argv)
    for run in args.runs:
        if run.row.stacks_only:
            parser.error(f"{run.name}: it was trained on focal stacks alone; expected a run of the ladder")
    torch.set_num_threads(1)
    entries = every_scene(args.scenes, args.data / "split.csv")
    rigs = rig_scenes(args.data, args.work)
    for run in args.runs:
        training, kept_out = sides(entries, run.fold)
        method = Defocus(args.work / "runs" / run.name / "model", training)
        made = recipe(run, args.work, sorted({entry.group for entry in training}))
        found = lines_of(run.name, made.config_hash, run.row.name, run.fold, method, [*kept_out, *rigs])
        write_lines(args.out, [*(line for line in read_lines(args.out) if line.run != run.name), *found])
        print(f"{run.name}: stretched by {method.gain:.2f}, {len(found)} locations", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
