"""The training loop."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from mddnet.config import Recipe
from mddnet.data.batch import Batch
from mddnet.data.loader import SampleBatches, batch_loader
from mddnet.data.shard_batches import ShardBatches, shard_loader
from mddnet.errors import ModelError, RecipeError, TrainingError
from mddnet.loss.total import total_loss
from mddnet.model.checkpoint import save_weights
from mddnet.model.network import Maps, MDDNet
from mddnet.train.monitor import Monitor
from mddnet.train.optim import build_optimiser, moving_average, set_learning_rates
from mddnet.train.pictures import figure
from mddnet.train.processes import ONE_PROCESS, OWN_BATCH, Processes, normalise_over_processes, start_processes
from mddnet.train.record import CHECKPOINT, Checkpoint, EarlyStopping, RunState, run_folder
from mddnet.train.scenes import Scenes, open_run_scenes
from mddnet.train.validate import quick_validation


def train(
    recipe: Recipe, accelerator: str = "auto", scenes: Scenes | None = None, processes: Processes = ONE_PROCESS
) -> Path:
    """Train by a recipe, or resume an interrupted run; return the folder with the trained weights.

    Batch n depends on the seed and n alone, and a checkpoint holds all other state, so an interrupted run ends with the
    same weights as an uninterrupted one. ``accelerator`` is a device as Lightning Fabric names it; without ``scenes``,
    those of the recipe are opened; the first of the processes validates and writes. MddnetError if scenes, split or an
    existing checkpoint do not match the recipe, the loss is not finite, or another run writes into the folder.
    """
    fabric = start_processes(accelerator, recipe.train.precision, processes)
    with run_folder(recipe.train.out) if fabric.is_global_zero else nullcontext():
        return _train(recipe, fabric, scenes)


def _train(recipe: Recipe, fabric: Fabric, scenes: Scenes | None) -> Path:
    torch.set_num_threads(recipe.train.threads)
    torch.manual_seed(recipe.train.seed)
    scenes = scenes or open_run_scenes(recipe)
    if recipe.train.patience and not scenes.held_out:
        raise RecipeError(
            f"train.patience is {recipe.train.patience}, but no scene is held out for validation; set it to 0, or add "
            "a dev location to data.split"
        )
    out, steps, ranks = recipe.train.out, recipe.optim.steps, fabric.world_size
    memory_format = torch.channels_last if recipe.train.channels_last else torch.contiguous_format
    network = start_network(recipe).to(memory_format=memory_format)
    if ranks > 1 and recipe.data.batch_size < OWN_BATCH:
        normalise_over_processes(network)
    optimiser = build_optimiser(network, recipe.optim)
    model, fabric_optimiser = fabric.setup(network, optimiser)
    average = moving_average(network, recipe.optim)
    state = RunState(network, average.module, optimiser, EarlyStopping(recipe.train.patience))
    # what the order of the data depends on besides the recipe
    setup = "1 process" if ranks == 1 else f"{ranks} processes"
    setup += f" of {max(recipe.data.workers, 1)} worker(s) each, {scenes.size}" if scenes.shards else ""
    checkpoint = Checkpoint(out / CHECKPOINT, recipe.config_hash, setup)
    checkpoint.restore(state)
    _check_one_step(fabric, state.step, out)
    batches = _batches(recipe, fabric, scenes, state.step)
    monitor = Monitor(out, fabric.is_global_zero, state.step, steps)
    monitor.say(
        f"recipe {recipe.name} ({recipe.config_hash}): {scenes.size} to train on, {len(scenes.held_out)} held out, "
        f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters, step {state.step} of {steps}"
        + (f", {ranks} processes" if ranks > 1 else "")
    )
    if recipe.train.patience and state.step == 0:
        _measure(state, scenes, fabric, monitor)  # the initial weights are kept unless they are improved
        state.measured = {}

    model.train()
    with monitor:
        for batch in [] if state.stopping.stop else batches:
            set_learning_rates(optimiser, recipe.optim, state.step + 1)
            batch = batch.to(fabric.device, memory_format)
            maps = Maps(*model(batch.image))
            # by step, so that a resumed run draws the same pairs
            seed = (recipe.train.seed * 1_000_003 + state.step) * ranks + fabric.global_rank
            generator = torch.Generator().manual_seed(seed)
            loss, terms = total_loss(
                maps, batch, recipe.loss, recipe.model.defocus_cap_px, generator, state.step / steps
            )
            _note_losses(state, fabric, {"loss": loss.detach(), **terms}, out)

            fabric_optimiser.zero_grad()
            fabric.backward(loss)
            fabric.clip_gradients(model, fabric_optimiser, max_norm=recipe.optim.clip_norm)
            fabric_optimiser.step()
            state.step += 1
            average.update(network, state.step)

            means = {name: sum(values) / len(values) for name, values in state.losses.items()}
            monitor.advance(state.step, ranks * recipe.data.batch_size, means["loss"])
            last = state.step == steps
            if last or _due(state.step, recipe.train.validate_every):
                _measure(state, scenes, fabric, monitor)
                last = last or bool(fabric.broadcast(state.stopping.stop))
            if last or _due(state.step, recipe.train.log_every):
                monitor.log(state.step, means, state.measured, optimiser.param_groups[-1]["lr"])
                state.losses, state.measured = {}, {}
            if fabric.is_global_zero:
                if last or _due(state.step, recipe.train.validate_every or recipe.train.save_every):
                    monitor.picture(state.step, figure(batch, maps, recipe.model.defocus_cap_px))
                if last or _due(state.step, recipe.train.save_every):
                    checkpoint.save(state)
            if last:
                break
    if fabric.is_global_zero:
        _finish(recipe, state, monitor)
    fabric.barrier()
    return out / "model"


def start_network(recipe: Recipe) -> MDDNet:
    """The network of a recipe with its initial weights.

    ModelError if these are weights of another network.
    """
    if recipe.train.start_from is None:
        return MDDNet(recipe.model)
    start = MDDNet.from_pretrained(recipe.train.start_from)
    if start.config != recipe.model.model_copy(update={"pretrained": False}):
        raise ModelError(
            f"{recipe.train.start_from}: the network differs from [model] of the recipe ({start.config}); expected the "
            "same settings: change one of the two, or remove train.start_from"
        )
    return start


def _batches(recipe: Recipe, fabric: Fabric, scenes: Scenes, first: int) -> Iterable[Batch]:
    """The batches of this process from ``first`` on."""
    data, seed, steps = recipe.data, recipe.train.seed, recipe.optim.steps
    rank, ranks = fabric.global_rank, fabric.world_size
    if scenes.shards:
        return shard_loader(ShardBatches(scenes.shards, data, seed, steps, first, rank, ranks), data.workers)
    return batch_loader(SampleBatches(scenes.train, data, seed, steps, rank, ranks), first, data.workers)


def _note_losses(state: RunState, fabric: Fabric, losses: dict[str, Tensor], out: Path) -> None:
    """Record the losses of a step, averaged over all processes, for the log."""
    values = torch.stack(list(losses.values()))
    if fabric.world_size > 1:
        values = torch.as_tensor(fabric.all_reduce(values, reduce_op="mean"))
    if not torch.isfinite(values[0]):
        raise TrainingError(
            f"{out}: the loss is {float(values[0])} at step {state.step}; expected a finite number: the last "
            "checkpoint is valid; restart with a lower optim.lr, or check the newest scenes"
        )
    for name, value in zip(losses, values.tolist(), strict=True):
        state.losses.setdefault(name, []).append(value)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _measure(state: RunState, scenes: Scenes, fabric: Fabric, monitor: Monitor) -> None:
    """Validate the averaged weights on the held-out scenes, in the first process."""
    if not scenes.held_out or not fabric.is_global_zero:
        return
    assert isinstance(state.average, MDDNet)
    numbers = quick_validation(state.average, scenes.held_out)
    monitor.measured(state.step, numbers)
    state.measured |= {f"dev_{name}": value for name, value in numbers.items()}
    state.stopping.measured(state.step, numbers, state.average.state_dict())


def _finish(recipe: Recipe, state: RunState, monitor: Monitor) -> None:
    """Write the model: the best or last averaged weights."""
    stopping, network, step = state.stopping, state.average, state.step
    assert isinstance(network, MDDNet)
    if stopping.state:
        network.load_state_dict(stopping.state)
        why = f"stopped after step {step}: no improvement in {stopping.waited} validations; "
        monitor.say(f"{why if stopping.stop else ''}the best weights, of step {stopping.step}, are kept")
        step = stopping.step
    save_weights(recipe.train.out / "model", recipe, network.state_dict(), steps=step)


def _check_one_step(fabric: Fabric, step: int, out: Path) -> None:
    """Refuse processes that resume from different checkpoints."""
    if fabric.world_size == 1:
        return
    steps = torch.as_tensor(fabric.all_gather(torch.tensor(step))).flatten().tolist()
    if len(set(steps)) > 1:
        raise TrainingError(
            f"{out}: the processes would resume from steps {sorted(set(steps))}; expected the same step: train.out "
            "must be a folder shared by all machines"
        )
