"""The gradients of the groups of losses sum to the gradient of training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from research.claims.gradients import GROUPS, cosine, encoder_gradients
from research.claims.plan import LADDER, QUICK, Run, recipe, training_scenes
from research.claims.run import all_scenes
from tests.support.made_scenes import make_scene_root

from mddnet.data.loader import SampleBatches
from mddnet.loss.total import total_loss
from mddnet.model.network import MDDNet


@pytest.mark.slow
@pytest.mark.parametrize("row", [LADDER[0], LADDER[2], LADDER[5]], ids=lambda row: row.name)
def test_groups_sum_to_the_whole_gradient(row, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    entries = all_scenes(*make_scene_root(tmp_path / "scenes"))
    made = recipe(Run(row, 0, QUICK), tmp_path, ("focal_stacks",))
    network = MDDNet(made.model)
    batches = SampleBatches(training_scenes(row, entries, {}, 12), made.data, 0, 2)
    found = encoder_gradients(network, made, batches, count=2)
    assert set(found) == {g for g, terms in GROUPS.items() if any(getattr(made.loss, term) for term in terms)}
    weights = [weight for weight in network.encoder.parameters() if weight.requires_grad]
    batch = batches[1]
    loss, _ = total_loss(
        network(batch.image),
        batch,
        made.loss,
        made.model.defocus_cap_px,
        torch.Generator().manual_seed(1),
    )
    whole = torch.autograd.grad(loss, weights, allow_unused=True)
    flat = torch.cat([(torch.zeros_like(w) if g is None else g).flatten() for g, w in zip(whole, weights, strict=True)])
    parts = torch.stack([gradients[1] for gradients in found.values()]).sum(dim=0)
    assert torch.allclose(parts, flat, atol=1e-4 * float(flat.abs().max()))


def test_cosine_values() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert cosine(a, torch.tensor([[3.0, 0.0], [0.0, -1.0]])) == pytest.approx(0.0)  # one agrees, one is opposed
    assert cosine(a, 5 * a) == pytest.approx(1.0)
