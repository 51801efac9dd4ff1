"""CoC error of the networks of the ladder after their defocus curves are fitted, as for the shipped model.

    python -m research.claims.calibrated --scenes work/scenes --data ../shared/data --work work/claims \\
        -o docs/results/claims/calibrated.csv defocus-long-0 full-long-0

The other tables compare networks without this step, where a network whose predictions are all too small has a larger
error. Here the curve is fitted first, to sharp photos blurred by discs and to captured stacks of the network's training
data. The lines of the given runs are replaced in the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from research.claims.measure import Estimate
from research.claims.methods import Network
from research.claims.plan import recipe, split_by_fold
from research.claims.results import read_lines, write_lines
from research.claims.rig import rig_scenes
from research.claims.run import all_scenes, lines_of, parser_for_networks

from mddnet.data.scene_pool import SceneEntry
from mddnet.model.network import MDDNet
from mddnet.train.defocus_response import fit_curve, photos_of_scenes, stretch_to_stacks
from mddnet.types import UInt8Array


class Defocus:
    """The defocus map of a network after its curve is fitted."""

    def __init__(self, model: Path, training: Sequence[SceneEntry]) -> None:
        """Load a model and fit its curve to the scenes that it was trained on.

        Raises:
            ValueError: if the network has no defocus map, or its response does not increase with the discs.
        """
        network = MDDNet.from_pretrained(model)
        if not fit_curve(network, photos_of_scenes(training)):
            raise ValueError(f"{model}: cannot fit a curve; expected a defocus map that increases with the discs")
        self.gain = stretch_to_stacks(network, training)
        self._network = Network(network)

    def estimate(self, photo: UInt8Array, /) -> Estimate:
        return Estimate(defocus_px=self._network.estimate(photo).defocus_px)


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_for_networks("python -m research.claims.calibrated", __doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args(argv)
    for run in args.runs:
        if run.row.stacks_only:
            parser.error(f"{run.name}: it was trained on focal stacks alone; expected a run of the ladder")
    torch.set_num_threads(1)
    entries = all_scenes(args.scenes, args.data / "split.csv")
    rigs = rig_scenes(args.data, args.work)
    for run in args.runs:
        training, held_out = split_by_fold(entries, run.fold)
        method = Defocus(args.work / "runs" / run.name / "model", training)
        made = recipe(run, args.work, sorted({entry.group for entry in training}))
        found = lines_of(run.name, made.config_hash, run.row.name, run.fold, method, [*held_out, *rigs])
        write_lines(args.out, [*(line for line in read_lines(args.out) if line.run != run.name), *found])
        print(f"{run.name}: stretched by {method.gain:.2f}, {len(found)} locations", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
