"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from mddnet.config import ModelConfig, Recipe
from mddnet.data.batch import Batch
from mddnet.data.loader import SetBatches, batch_loader
from mddnet.data.scene_pool import SceneEntry, open_both_sides, open_scenes
from mddnet.data.shard_batches import ShardBatches, shard_loader
from mddnet.data.split import read_split
from mddnet.errors import ModelError, RecipeError, TrainingError
from mddnet.kinds import REAL_KINDS
from mddnet.loss.total import total_loss
from mddnet.model.checkpoint import load_network, save_weights
from mddnet.model.network import MDDNet
from mddnet.scenes.shard_source import Shard, count_sets, expand_shards
from mddnet.train.calibrate import calibrate_defocus, photos_of_scenes, photos_of_shards, stretch_to_stacks
from mddnet.train.early_stopping import EarlyStopping
from mddnet.train.optim import MovingAverage, build_optimiser, set_learning_rate
from mddnet.train.pictures import sheet
from mddnet.train.processes import ONE_PROCESS, Processes, normalise_over_processes, start_processes
from mddnet.train.record import SinceLog, TrainLog, load_checkpoint, run_folder, save_checkpoint
from mddnet.train.teacher import Teacher
from mddnet.train.validate import quick_validation


@dataclass(frozen=True, slots=True)
class Scenes:
    """The scenes of a run.

    Attributes:
        train: those to train on; none where shards are streamed.
        held_out: those that the run is measured on; may be empty.
        shards: what is streamed instead of ``train``.
    """

    train: Sequence[SceneEntry]
    held_out: Sequence[SceneEntry]
    shards: Sequence[Shard] = ()

    @property
    def size(self) -> str:
        """How much there is to train on."""
        if self.shards:
            return f"{sum(shard.sets for shard in self.shards)} sets in {len(self.shards)} shards"
        return f"{len(self.train)} scenes"


def open_sides(recipe: Recipe) -> Scenes:
    """The scenes of a recipe; it is measured on real captures only, which are fewer and say more.

    Raises:
        CaptureError: if a side of the split has no scene, or a scene no side; if a shard cannot be read.
    """
    if recipe.data.shards:
        shards = count_sets(expand_shards(recipe.data.shards))
        if "scenes" not in recipe.data.model_fields_set:
            return Scenes((), (), shards)
        dev_side = open_scenes(recipe.data.scenes, read_split(recipe.data.split), "dev")
        return Scenes((), [entry for entry in dev_side if entry.group in REAL_KINDS], shards)
    sides = open_both_sides(recipe.data.scenes, read_split(recipe.data.split))
    return Scenes(sides["train"], [entry for entry in sides["dev"] if entry.group in REAL_KINDS])


def _network(recipe: Recipe) -> MDDNet:
    """The network of a recipe, with the weights that it starts from."""
    if recipe.train.start_from is None:
        return MDDNet(recipe.model)
    start = load_network(recipe.train.start_from)
    wanted = recipe.model.model_copy(update={"pretrained": False})
    if recipe.model.layout and start.config == wanted.model_copy(update={"layout": False}):
        start = _with_layout(recipe.model, start)
    elif start.config != wanted:
        raise ModelError(
            f"{recipe.train.start_from}: another network than the recipe's [model] ({start.config}); start from one "
            "of the same settings, or leave train.start_from out"
        )
    if not recipe.train.keep_curve:
        start.defocus_curve.reset()  # it belongs to the weights that it was measured on
    return start


def _with_layout(config: ModelConfig, start: MDDNet) -> MDDNet:
    """A network that knows no layout, given one: it says the same until it is trained."""
    network = MDDNet(config)
    missing, unexpected = network.load_state_dict(start.state_dict(), strict=False)
    assert not unexpected and all(name.startswith("layout") for name in missing)
    return network


def mix_in_start(network: MDDNet, start: MDDNet, share: float) -> None:
    """Average weights with those that training started from, in place: ``(1 - share) * trained + share * start``.

    Weights between the two are often better than either where the data is another (Wortsman et al., "Robust fine-tuning
    of zero-shot models", CVPR 2022).

    Args:
        network: the trained network; it is changed.
        start: the network that it started as.
        share: what the start counts, in [0, 1].
    """
    trained, first = network.state_dict(), start.state_dict()
    network.load_state_dict(
        {k: v.lerp(first[k].to(v), share) if v.is_floating_point() else v for k, v in trained.items()}
    )


def train(
    recipe: Recipe, accelerator: str = "auto", scenes: Scenes | None = None, processes: Processes = ONE_PROCESS
) -> Path:
    """Carry out a recipe, or go on with it where it stopped.

    Batch n depends on the seed and n alone, and a checkpoint holds all other state, so a run that was interrupted at
    any moment ends with the same weights as one that was not.

    Args:
        recipe: the run.
        accelerator: what to compute on, as Lightning Fabric names it.
        scenes: what to train and measure on; None takes what the recipe names.
        processes: how many processes train together; the first of them measures and writes.

    Returns:
        The folder with the trained weights (``model.safetensors``, ``config.json``).

    Raises:
        MddnetError: if scenes, split or an existing checkpoint do not fit the recipe, the loss is no number, or another
            run writes into the folder.
    """
    fabric = start_processes(accelerator, recipe.train.precision, processes)
    with run_folder(recipe.train.out) if fabric.is_global_zero else nullcontext():
        return _train(recipe, fabric, scenes)


def _train(recipe: Recipe, fabric: Fabric, scenes: Scenes | None) -> Path:
    rank, ranks, main = fabric.global_rank, fabric.world_size, fabric.is_global_zero
    torch.set_num_threads(recipe.train.threads)
    torch.manual_seed(recipe.train.seed)
    scenes = scenes or open_sides(recipe)
    held_out = scenes.held_out
    if recipe.train.patience and not held_out:
        raise RecipeError(
            f"train.patience is {recipe.train.patience}, but no scene is held out that the run could be measured on; "
            "set it to 0, or name a dev place in data.split"
        )
    steps = recipe.optim.steps
    dataset = None if scenes.shards else SetBatches(scenes.train, recipe.data, recipe.train.seed, steps, rank, ranks)

    memory_format = torch.channels_last if recipe.train.channels_last else torch.contiguous_format
    network = _network(recipe).to(memory_format=memory_format)
    if ranks > 1:
        normalise_over_processes(network)
    teacher = None if recipe.train.teacher is None else Teacher(recipe.train.teacher, network, fabric.device)
    average = MovingAverage(network, recipe.optim.ema)
    optimiser = build_optimiser(network, recipe.optim)
    out = recipe.train.out
    stopping, since_log = EarlyStopping(recipe.train.patience), SinceLog()
    setup = _setup(recipe, scenes, ranks)
    done = load_checkpoint(out, recipe.config_hash, setup, network, average, optimiser, stopping, since_log)
    _all_at_one_step(fabric, done, out)
    log = TrainLog(out, done) if main else None
    board = SummaryWriter(str(out / "tensorboard"), purge_step=done) if main else None
    model, fabric_optimiser = fabric.setup(network, optimiser)
    for name, value in average.state.items():
        average.state[name] = value.to(fabric.device)
    reference = MDDNet(recipe.model.model_copy(update={"pretrained": False})).to(fabric.device).eval()

    console = Console(quiet=not main)
    console.print(
        f"recipe {recipe.name} ({recipe.config_hash}): {scenes.size} to train on, {len(held_out)} held out, "
        f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters, step {done} of {steps}"
        + (f", {ranks} processes" if ranks > 1 else "")
    )

    def measure(step: int) -> None:
        if not held_out or board is None:
            return
        reference.load_state_dict(average.state)
        for name, value in quick_validation(reference, held_out).items():
            board.add_scalar(f"dev/{name}", value, step)
            since_log.measured[f"dev_{name}"] = value
        measured = since_log.measured
        stopping.measured(step, {name.removeprefix("dev_"): value for name, value in measured.items()}, average.state)
        console.print(f"step {step}: " + ", ".join(f"{n} {v:.3f}" for n, v in measured.items()))

    if stopping.patience and done == 0:
        measure(0)  # the start counts: what is no better on the held-out places is not worth changing
        since_log.clear()
    started, first = time.monotonic(), done
    model.train()
    with Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("train", total=steps, completed=done, rate="", loss="")
        loader: Iterable[Batch]
        if dataset is None:
            stream = ShardBatches(scenes.shards, recipe.data, recipe.train.seed, steps, done, rank, ranks)
            loader = shard_loader(stream, recipe.data.workers)
        else:
            loader = batch_loader(dataset, done, recipe.data.workers)
        for batch in [] if stopping.stop else loader:
            moved = batch.to(fabric.device, memory_format)
            set_learning_rate(optimiser, done, recipe.optim)
            # seeded by the step, so that a resumed run draws the same pairs
            generator = torch.Generator().manual_seed((recipe.train.seed * 1_000_003 + done) * ranks + rank)
            maps = model(moved.image)
            told = None if teacher is None else teacher.tell(moved.image)
            loss, terms = total_loss(maps, moved, recipe.loss, recipe.model.defocus_cap_px, generator, told)
            values = torch.stack([loss.detach(), *terms.values()])
            if ranks > 1:
                values = torch.as_tensor(fabric.all_reduce(values, reduce_op="mean"))
            if not torch.isfinite(values[0]):
                raise TrainingError(
                    f"{out}: the loss is {float(values[0])} at step {done}; the last checkpoint is good: start anew "
                    "with a lower optim.lr, or look at the newest scenes"
                )
            fabric_optimiser.zero_grad()
            fabric.backward(loss)
            fabric.clip_gradients(model, fabric_optimiser, max_norm=recipe.optim.clip_norm)
            fabric_optimiser.step()
            average.update(network, done)
            done += 1

            for name, value in zip(("loss", *terms), values.tolist(), strict=True):
                since_log.losses.setdefault(name, []).append(value)
            rate = ranks * recipe.data.batch_size * (done - first) / (time.monotonic() - started)
            loss_now = float(np.mean(since_log.losses["loss"]))
            progress.update(bar, completed=done, rate=f"{rate:.1f} images/s", loss=f"loss {loss_now:.3f}")
            last = done == steps
            if last or (recipe.train.validate_every and done % recipe.train.validate_every == 0):
                measure(done)
                model.train()
                last = last or bool(fabric.broadcast(stopping.stop))
            if last or done % recipe.train.log_every == 0:
                means = {name: float(np.mean(values)) for name, values in since_log.losses.items()}
                if log is not None and board is not None:
                    log.write(done, {**means, "lr": optimiser.param_groups[-1]["lr"], **since_log.measured})
                    for name, mean in means.items():
                        board.add_scalar(f"train/{name}", mean, done)
                if not console.is_terminal:
                    console.print(f"step {done}: loss {means['loss']:.4f}, {rate:.1f} images/s")
                since_log.clear()
            if board is not None and (last or done % (recipe.train.validate_every or recipe.train.save_every) == 0):
                board.add_image("train/sets", sheet(moved, maps, recipe.model.defocus_cap_px), done, dataformats="HWC")
            if main and (last or done % recipe.train.save_every == 0):
                save_checkpoint(out, done, recipe.config_hash, setup, network, average, optimiser, stopping, since_log)
            if last:
                break
    if board is None:
        fabric.barrier()
        return out / "model"
    board.close()
    reference.load_state_dict(stopping.state or average.state)
    if stopping.state:
        why = f"stopped after step {done} of {steps}: the last {stopping.waited} measurements were no better; "
        console.print(f"{why if stopping.stop else ''}the weights of step {stopping.step} are kept, the best measured")
        done = stopping.step
    if recipe.train.start_share:
        mix_in_start(reference, _network(recipe).to(fabric.device), recipe.train.start_share)
    if not recipe.train.keep_curve:
        photos = photos_of_shards(scenes.shards) if scenes.shards else photos_of_scenes(scenes.train)
        if calibrate_defocus(reference.eval(), photos):
            stretch_to_stacks(reference, scenes.train)
    save_weights(out / "model", recipe, reference.state_dict(), steps=done)
    fabric.barrier()
    return out / "model"


def _setup(recipe: Recipe, scenes: Scenes, ranks: int) -> str:
    """What the order of the data follows from beside the recipe."""
    processes = "1 process" if ranks == 1 else f"{ranks} processes"
    workers = max(recipe.data.workers, 1)
    return f"{processes} of {workers} worker(s) each, {scenes.size}" if scenes.shards else processes


def _all_at_one_step(fabric: Fabric, done: int, out: Path) -> None:
    """Refuse processes that go on from different checkpoints."""
    if fabric.world_size == 1:
        return
    steps = torch.as_tensor(fabric.all_gather(torch.tensor(done))).flatten().tolist()
    if len(set(steps)) > 1:
        raise TrainingError(
            f"{out}: the processes would go on from steps {sorted(set(steps))}; expected one: train.out must be a "
            "folder that all machines share"
        )
