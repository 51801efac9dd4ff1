"""One training step's gradients and running statistics, by the number of processes in the environment.

    python -m tests.train.gradients_of_processes SCENES SPLIT OUT PROCESSES

A single process takes the batches of both of two; the tests compare what comes out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from mddnet.config import DataConfig, LossConfig, ModelConfig
from mddnet.data.batch import Batch
from mddnet.data.loader import SampleBatches
from mddnet.data.scene_pool import open_scenes
from mddnet.data.split import read_split
from mddnet.loss.total import total_loss
from mddnet.model.network import Maps, MDDNet
from mddnet.train.processes import Processes, normalise_over_processes, start_processes


def main(scenes: str, split: str, out: str, count: str) -> None:
    """Compute and write."""
    torch.set_num_threads(1)
    fabric = start_processes("cpu", "64-true", Processes(int(count)))
    config = DataConfig.model_validate(
        {"crop": (64, 64), "batch_size": 2, "late_share": 0.0, "mixture": {"focal_stacks": 1.0}}
    )
    entries = open_scenes(Path(scenes), read_split(Path(split)), "train")
    ranks = [fabric.global_rank] if fabric.world_size == 2 else [0, 1]
    mine = [SampleBatches(entries, config, 0, 1, rank, 2)[0] for rank in ranks]
    names = Batch.__dataclass_fields__
    batch = Batch(**{name: torch.cat([getattr(one, name) for one in mine]) for name in names})
    batch = Batch(**{n: v.double() if v.is_floating_point() else v for n, v in ((n, getattr(batch, n)) for n in names)})
    torch.manual_seed(0)
    network = MDDNet(ModelConfig(encoder="resnet10t", pretrained=False, decoder_channels=(16, 16, 16)))
    normalise_over_processes(network)
    model = fabric.setup(network.train())
    # random pairs are drawn by each process; all other terms are means over the images
    loss, _ = total_loss(Maps(*model(batch.image)), batch, LossConfig(ranking=0.0), 40.0, torch.Generator())
    fabric.backward(loss)
    tensors = {f"gradient.{name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
    tensors |= {f"buffer.{name}": value for name, value in network.named_buffers()}
    if fabric.is_global_zero:
        save_file({name: value.contiguous() for name, value in tensors.items()}, out)
    fabric.barrier()


if __name__ == "__main__":
    main(*sys.argv[1:])
