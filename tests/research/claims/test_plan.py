"""The plan: rows differ only as named, and no location is used for both training and measuring."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from research.claims.plan import (
    ABLATIONS,
    FOLDS,
    FRAMES,
    FULL,
    HALF,
    LADDER,
    MIXTURE,
    REAL,
    RENDERED,
    ROWS,
    Effort,
    Run,
    evenly_spaced_frames,
    parts,
    recipe,
    runs,
    training_scenes,
)
from research.claims.variants import build

from mddnet.config import ModelConfig
from mddnet.data.scene_pool import SceneEntry
from mddnet.types import FrameRecord, SceneRecord, Split


def entry(group: str, name: str, location: str, frames: int = 20) -> SceneEntry:
    record = SceneRecord(
        name=name,
        location=location,
        capture="focal_stack",
        source="-",
        licence="-",
        provenance="real",
        unit="relative",
        frames=[FrameRecord(f"{i}.png", float(i), 1.0) for i in range(frames)],
        sharp="s.png",
        inv_depth="u.png",
    )
    return SceneEntry(Path(group) / name, group, record)


FOUND: dict[Split, list[SceneEntry]] = {
    "train": [
        *(entry("focal_stacks", f"s{n}", f"location{n // 2}") for n in range(10)),
        *(entry("views", f"v{n}", f"views/{n}") for n in range(5)),
        *(entry("pseudo", f"p{n}", "photos/x") for n in range(3)),
    ],
    "dev": [
        *(entry("rgbd", f"r{n}", f"rgbd/{n}") for n in range(4)),
        *(entry("views", f"w{n}", f"views/dev{n}") for n in range(4)),
    ],
    "calib": [entry("focal_stacks", "c", "calib_stack"), entry("views", "x", "views/calib")],
}


def test_every_location_is_held_out_once() -> None:
    held_out: list[str] = []
    for fold in range(FOLDS):
        of_fold = parts(FOUND, fold)
        train, outer = ({e.record.location for e in part} for part in (of_fold.train, of_fold.outer))
        assert not train & outer
        assert {f"views/{n}" for n in range(5)} <= train
        assert not any(name.startswith("views/dev") for name in train)  # rendered views of dev are for measuring only
        assert {e.record.location for e in of_fold.inner} == {"calib_stack", "views/calib"}
        assert not {"calib_stack", "views/calib", "photos/x"} & (train | outer)
        held_out += sorted(outer)
    assert sorted(held_out) == sorted(
        [f"location{n}" for n in range(5)] + [f"rgbd/{n}" for n in range(4)] + [f"views/dev{n}" for n in range(4)]
    )


def test_rows_differ_only_as_named() -> None:
    made = {name: recipe(Run(row, 1), Effort(), Path("x"), tuple(MIXTURE)) for name, row in ROWS.items()}
    for row in (*LADDER, *ABLATIONS):
        one = made[row.name]
        assert (one.data, one.optim, one.train.seed) == (made["two"].data, made["two"].optim, 1), row.name
        assert (one.model.encoder, one.model.decoder_channels) == (
            made["two"].model.encoder,
            made["two"].model.decoder_channels,
        )
    assert made["depth"].model.tasks == "depth" and made["defocus"].model.tasks == "defocus"
    assert made["two"].loss == made["soft"].loss
    assert made["two"].model == made["soft"].model.model_copy(update={"soft_connection": False})
    assert made["soft"].model == made["law"].model
    assert made["soft"].loss.model_copy(update={"lens_law": 0.2}) == made["law"].loss
    assert len({one.config_hash for one in made.values()}) == len(ROWS)
    for row in FRAMES:
        assert made[row.name].model == made[FULL].model and made[row.name].optim.steps == 750
        assert made[row.name].data.mixture.normalised["focal_stacks"] == 1


def test_most_important_runs_are_first() -> None:
    planned = [run.name for run in runs()]
    assert planned[:3] == ["full-0", "defocus-0", "depth-0"] and len(set(planned)) == len(planned)
    for row in (*LADDER, *FRAMES):
        assert {f"{row.name}-{fold}" for fold in range(FOLDS)} <= set(planned)
    assert {name for name in planned if name.startswith("coarse")} == {"coarse-0"}
    assert {run.name for run in runs("coarse")} - set(planned) == {"coarse-1", "coarse-2"}


def test_real_and_rendered_rows_have_same_scenes_and_frame_counts() -> None:
    train = parts(FOUND, 0).train
    counterparts = {
        e.record.name: entry("focal_stacks", e.record.name, e.record.location, 12)
        for e in train
        if e.group == "focal_stacks"
    }
    seen = {row.name: training_scenes(row, train, counterparts, 12) for row in FRAMES}
    assert [e.record.name for e in seen[REAL]] == [e.record.name for e in seen[RENDERED]]
    assert all(len(e.record.frames) == 12 for found in seen.values() for e in found)
    assert all(e is counterparts[e.record.name] for e in seen[RENDERED])
    assert len(seen[HALF]) == 2 * len(seen[REAL])
    assert training_scenes(ROWS[FULL], train, {}, 12) == train


@pytest.mark.parametrize(("count", "expected"), [(20, [0, 19]), (2, [0, 1])])
def test_ends_of_a_stack_are_kept(count: int, expected: list[int]) -> None:
    frames = entry("focal_stacks", "s", "p", count).record.frames
    found = [int(frame.u_focus) for frame in evenly_spaced_frames(frames, 12)]
    assert [found[0], found[-1]] == expected and len(found) == min(count, 12) == len(set(found))


def test_paths_between_the_decoders() -> None:
    """Which map depends on a weight of the connection, and through which its gradient flows."""
    torch.manual_seed(0)
    image = torch.rand(2, 3, 64, 64)

    def reached(change: str, output: str) -> dict[str, bool]:
        """Whether the output has a gradient in the first block of each decoder."""
        network = build(ModelConfig(pretrained=False), change).train()
        assert network.links is not None
        for link in network.links:
            for parameter in link.parameters():
                torch.nn.init.normal_(parameter, std=0.1)
        getattr(network(image), output).mean().backward()
        found = {}
        for name, decoder in (("depth", network.depth_decoder), ("defocus", network.defocus_decoder)):
            assert decoder is not None
            gradient = decoder.blocks[0].reduce.weight.grad
            found[name] = gradient is not None and bool(gradient.abs().sum() > 0)
        return found

    assert reached("", "inv_depth") == reached("", "defocus_px") == {"depth": True, "defocus": True}
    assert reached("one-way", "inv_depth") == {"depth": True, "defocus": True}
    assert reached("one-way", "defocus_px") == {"depth": False, "defocus": True}
    assert reached("stopped", "inv_depth") == {"depth": True, "defocus": False}
    assert reached("stopped", "defocus_px") == {"depth": False, "defocus": True}
    coarse = build(ModelConfig(pretrained=False), "coarse")
    assert coarse.links is not None and len(coarse.links) == 1
