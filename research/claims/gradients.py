"""Norms and angles of the gradients of each group of losses in the shared encoder.

    python -m research.claims.gradients --scenes work/scenes --data ../shared/data --work work/claims full-0 law-0

The gradients of each network of ``research.claims.run`` are computed on batches of its training locations, for the
weights of the encoder, with the losses weighted as in training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import torch
from research.claims.plan import recipe, split_by_fold
from research.claims.run import all_scenes, parser_for_networks
from torch import Tensor

from mddnet.config import LossConfig, Recipe
from mddnet.data.loader import SampleBatches
from mddnet.loss.total import total_loss
from mddnet.model.network import MDDNet

GROUPS: Mapping[str, tuple[str, ...]] = {
    "depth": ("depth", "depth_gradient", "ranking"),
    "defocus": ("defocus", "defocus_gradient"),
    "sign": ("sign",),
    "law": ("lens_law",),
}
BATCHES = 8
AFTER_TRAINING = 1_000_000
"""Seed of batches that were not used in training."""


def encoder_gradients(network: MDDNet, made: Recipe, batches: SampleBatches, count: int = BATCHES) -> dict[str, Tensor]:
    """Gradient of each group of losses by the encoder's weights, (batches, weights); empty groups are absent.

    Args:
        network: a trained network; it is put into training mode.
        made: its recipe.
        batches: source of batches.
        count: number of batches.
    """
    weights = [weight for weight in network.encoder.parameters() if weight.requires_grad]
    found: dict[str, list[Tensor]] = {}
    network.train()
    for n in range(count):
        batch = batches[n]
        maps = network(batch.image)
        for group, terms in GROUPS.items():
            values = made.loss.model_dump()
            only = {name: values[name] if name in terms or name not in LossConfig.needs() else 0.0 for name in values}
            if not any(only[term] for term in terms):
                continue
            generator = torch.Generator().manual_seed(n)
            loss, _ = total_loss(maps, batch, LossConfig(**only), made.model.defocus_cap_px, generator)
            parts = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
            flat = [torch.zeros_like(w) if part is None else part for part, w in zip(parts, weights, strict=True)]
            found.setdefault(group, []).append(torch.cat([part.flatten() for part in flat]))
    return {group: torch.stack(gradients) for group, gradients in found.items()}


def cosine(a: Tensor, b: Tensor) -> float:
    """Mean cosine of the angle between two gradients, batch by batch: 1 is the same direction, below 0 is conflict."""
    return float(torch.nn.functional.cosine_similarity(a, b, dim=1).mean())


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_for_networks("python -m research.claims.gradients", __doc__)
    args = parser.parse_args(argv)
    entries = all_scenes(args.scenes, args.data / "split.csv")
    print("| run | " + " | ".join(f"norm, {group}" for group in GROUPS) + " | cosine with that of defocus |")
    print("|---" * (len(GROUPS) + 2) + "|")
    for run in args.runs:
        training, _ = split_by_fold(entries, run.fold)
        made = recipe(run, args.work, sorted({entry.group for entry in training}))
        network = MDDNet.from_pretrained(args.work / "runs" / run.name / "model")
        found = encoder_gradients(network, made, SampleBatches(training, made.data, AFTER_TRAINING, BATCHES))
        norms = [f"{found[group].norm(dim=1).mean():.3f}" if group in found else "-" for group in GROUPS]
        angles = [f"{group} {cosine(found[group], found['defocus']):+.2f}" for group in found if group != "defocus"]
        print(f"| {run.name} | " + " | ".join(norms) + f" | {', '.join(angles)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
