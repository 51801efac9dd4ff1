"""Train a teacher; run again to go on. Batch N is a function of the seed and N, so a resumed run is the same run.

    python -m research.teacher.train frozen --data ../shared/data --views work/views --scenes work/scenes \\
        --features work/features --out work/teacher/frozen
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType

import torch
import torch.nn.functional as F
from research.teacher.batches import Balanced, Batch, batch
from research.teacher.cache import CachedBatches, crop_features
from research.teacher.held_out import HeldOut
from research.teacher.losses import depth_loss
from research.teacher.network import ConvDepth, DinoDepth
from research.teacher.samples import Sample, made_views, pseudo, real
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SAVE_EVERY_S = 300.0
REPORT_EVERY = 20


@dataclass(frozen=True)
class Recipe:
    """What a run does; one row per contender in :data:`RECIPES`."""

    network: str
    steps: int
    batch: int
    rate: float
    encoder_rate: float
    trained_blocks: int = 0
    cached: bool = False
    block_decay: float = 0.85
    warm_up: int = 100
    ema: float = 0.995
    weight_decay: float = 0.05
    auxiliary: float = 0.3
    seed: int = 0
    sizes: tuple[tuple[int, int], ...] = ((196, 252), (196, 252), (252, 196), (224, 224))
    late_sizes: tuple[tuple[int, int], ...] = ((252, 336), (252, 336), (336, 252), (294, 294))
    late_share: float = 0.2


CONV_SIZES = ((192, 256), (192, 256), (256, 192), (224, 224))
CONV_LATE = ((256, 352), (256, 352), (352, 256), (288, 288))
RECIPES = {
    "frozen": Recipe("dino", steps=450, batch=8, rate=6e-4, encoder_rate=0.0, cached=True, ema=0.99),
    "tuned": Recipe("dino", steps=780, batch=8, rate=2e-4, encoder_rate=5e-5, trained_blocks=6),
    "longer": Recipe(
        "dino", steps=6000, batch=8, rate=1e-4, encoder_rate=4e-5, trained_blocks=6, warm_up=200, ema=0.998, seed=1
    ),
    "further": Recipe(
        "dino",
        steps=1100,
        batch=8,
        rate=5e-5,
        encoder_rate=2e-5,
        trained_blocks=6,
        warm_up=50,
        ema=0.998,
        seed=2,
        late_share=0.5,
    ),
    "conv": Recipe(
        "conv", steps=9000, batch=12, rate=6e-4, encoder_rate=2e-4, ema=0.998, sizes=CONV_SIZES, late_sizes=CONV_LATE
    ),
}


def make_network(recipe: Recipe) -> DinoDepth | ConvDepth:
    if recipe.network == "conv":
        return ConvDepth().to(memory_format=torch.channels_last)
    return DinoDepth(recipe.trained_blocks)


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Trained parameters by their rate: the head's, the encoder's, each block below the last with a smaller one."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = recipe.encoder_rate if name.startswith("encoder.") else recipe.rate
        if name.startswith("encoder.vit.blocks."):
            rate *= recipe.block_decay ** (11 - int(name.split(".")[3]))
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": p, "lr": rate, "base": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]


def rate_factor(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine to a hundredth."""
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    share = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


class Run:
    """One training run in its folder: ``resume.pt`` to go on from, ``model.safetensors`` the averaged weights."""

    def __init__(
        self,
        recipe: Recipe,
        samples: list[Sample],
        out: Path,
        features: Path | None,
        start: Path | None,
        bf16: bool = False,
    ) -> None:
        self.recipe, self.out, self.features, self.bf16 = recipe, out, features, bf16
        out.mkdir(parents=True, exist_ok=True)
        self.cached = CachedBatches(samples, features) if recipe.cached and features else None
        self.pool = None if self.cached else Balanced(samples)
        self.network = make_network(recipe)
        if start is not None:
            self.network.load_state_dict(load_file(start), strict=True)
        else:
            (self.network.encoder if isinstance(self.network, DinoDepth) else self.network).load_pretrained()
        self.optimizer = torch.optim.AdamW(parameter_groups(self.network, recipe), betas=(0.9, 0.99))
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.step = 0
        self.stopped = False
        if (out / "resume.pt").exists():
            state = torch.load(out / "resume.pt", map_location="cpu", weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average, self.step = state["average"], state["step"]
        (out / "recipe.json").write_text(json.dumps({**asdict(recipe), "samples": len(samples)}, indent=1))

    def save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
        }
        part = self.out / "resume.part"
        torch.save(state, part)
        part.replace(self.out / "resume.pt")
        weights = {name: value.contiguous() for name, value in self.average.items()}
        part = self.out / "model.part"
        save_file(weights, part, metadata={"network": self.recipe.network, "step": str(self.step)})
        part.replace(self.out / "model.safetensors")

    def fetch(self, number: int) -> tuple[list[Tensor] | None, Batch]:
        if self.cached is not None:
            return self.cached.batch(self.recipe.batch, self.recipe.seed, number)
        late = number >= self.recipe.steps * (1 - self.recipe.late_share)
        sizes = self.recipe.late_sizes if late else self.recipe.sizes
        assert self.pool is not None
        return None, batch(self.pool, self.recipe.batch, sizes, self.recipe.seed, number)

    def feature_loss(self, features: Tensor, data: Batch) -> Tensor:
        """Weighted mean of 1 - cosine between predicted and cached features; 0 without a cache."""
        if self.features is None:
            return torch.zeros(())
        wanted, there = crop_features(self.features, data.crops, (features.shape[2], features.shape[3]))
        distance = (1 - F.cosine_similarity(features, wanted, dim=1)).mean((1, 2))
        return self.recipe.auxiliary * (distance * there).sum() / there.sum().clamp_min(1)

    def learn(self, maps: list[Tensor] | None, data: Batch) -> float:
        """One step of the optimiser and of the average; the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * rate_factor(self.step, self.recipe)
        self.network.train()
        torch.manual_seed(self.step)
        auxiliary = torch.zeros(())
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            if isinstance(self.network, ConvDepth):
                pred, features = self.network.with_features(data.image.to(memory_format=torch.channels_last))
                auxiliary = self.feature_loss(features.float(), data)
            elif maps is not None:
                pred = self.network.head(maps, data.image)
            else:
                pred = self.network(data.image)
        generator = torch.Generator().manual_seed(self.step)
        loss = depth_loss(pred.float(), data.truth, data.exact, data.affine, generator) + auxiliary
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in self.network.parameters() if p.requires_grad], 1.0)
        self.optimizer.step()
        keep = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - keep)
                else:
                    self.average[name].copy_(value)
        return float(loss.detach())

    def go(self) -> None:
        def stop(signum: int, frame: FrameType | None) -> None:
            self.stopped = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        saved = began = time.monotonic()
        first, losses = self.step, []
        with ThreadPoolExecutor(1) as loader:
            waiting = loader.submit(self.fetch, self.step)
            while self.step < self.recipe.steps and not self.stopped:
                maps, data = waiting.result()
                waiting = loader.submit(self.fetch, self.step + 1)
                losses.append(self.learn(maps, data))
                self.step += 1
                if self.step % REPORT_EVERY == 0:
                    each = (time.monotonic() - began) / (self.step - first) / self.recipe.batch
                    recent = losses[-100:]
                    print(f"step {self.step}: loss {sum(recent) / len(recent):.4f}, {each:.3f} s a sample", flush=True)
                if time.monotonic() - saved > SAVE_EVERY_S:
                    self.save()
                    saved = time.monotonic()
        self.save()
        print("done" if self.step >= self.recipe.steps else f"stopped at step {self.step}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a teacher of depth; run again to go on.")
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--views", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--pseudo", type=Path, help="folder of pseudo-labels of photos to learn from as well")
    parser.add_argument("--start", type=Path, help="weights to start from (model.safetensors of another run)")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="twice as fast on processors with AMX, slower on others")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = RECIPES[args.recipe]
    if args.steps is not None:
        recipe = replace(recipe, steps=args.steps)
    held_out = HeldOut()
    samples = [*real(args.data, args.scenes, "train", held_out), *made_views(args.views, held_out)]
    if args.pseudo is not None:
        samples += pseudo(args.pseudo, held_out)
    held_out.check([sample.place for sample in samples])
    run = Run(recipe, samples, args.out, args.features, args.start, args.bf16)
    print(f"{len(samples)} samples, {run.cached.count if run.cached else 0} cached, from step {run.step}", flush=True)
    run.go()


if __name__ == "__main__":
    main()
