"""Which scenes and pixels an evaluation looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mddnet.data.evenly import evenly
from mddnet.errors import CaptureError
from mddnet.evaluate.scenes import (
    choose_frames,
    choose_scenes,
    has_true_defocus,
    read_frame,
    read_maps,
    true_signed_defocus,
)
from mddnet.metrics import near_depth_edges
from mddnet.scenes.store import write_image
from mddnet.types import FrameRecord


def test_evenly_by_hand() -> None:
    assert evenly(10, 2) == [2, 7]
    assert evenly(30, 6) == [2, 7, 12, 17, 22, 27]
    assert evenly(3, 6) == [0, 1, 2]
    assert evenly(0, 6) == []


def test_scenes_are_chosen_by_split_location_and_kind(made: Any, add_scene: Callable[..., Path]) -> None:
    for i in range(5):
        add_scene("rgbd", f"desk_{i}", "rgbd/desk", u_focus=(0.5,))
    add_scene("focal_stacks", "dev_stack", "here")
    add_scene("focal_stacks", "train_stack", "there", split="train")
    add_scene("stereo", "elsewhere", "nowhere", u_focus=())
    (made.root / "stereo" / "broken").mkdir()
    (made.root / "stereo" / "broken" / "scene.json").write_text("{")
    (made.root / "photos" / "cat").mkdir(parents=True)
    (made.root / "photos" / "cat" / "scene.json").write_text("{")
    del made.locations["nowhere"]
    choice = choose_scenes(made.root, made.locations, "dev", scenes_per_location=2)
    assert [s.record.name for s in choice.scenes] == ["dev_stack", "desk_1", "desk_3"]
    assert choice.locations_without_split == ("nowhere",)
    assert len(choice.failures) == 1 and "broken" in choice.failures[0][0]
    only = choose_scenes(made.root, made.locations, "train", ("focal_stacks",))
    assert [s.record.name for s in only.scenes] == ["train_stack"]
    with pytest.raises(CaptureError, match="mddnet build"):
        choose_scenes(made.root / "none", made.locations, "dev")


def test_truth_is_nan_where_unknown_or_of_low_confidence(made: Any, add_scene: Callable[..., Path]) -> None:
    add_scene("focal_stacks", "stack", "here", untrusted=True)
    scene = choose_scenes(made.root, made.locations, "dev").scenes[0]
    truth = read_maps(scene)
    assert np.isnan(truth.inv_depth[:5]).all() and np.isnan(truth.inv_depth[:, :30]).all()
    assert np.isfinite(truth.inv_depth[5:, 30:]).all()
    assert not truth.mask[:5].any() and not truth.mask[:, :30].any()
    assert truth.mask.sum() == pytest.approx(0.6 * 67 * 66, rel=0.1)
    frame = choose_frames(scene, 1)[0]
    assert frame.u_focus == 0.5
    signed = true_signed_defocus(truth, frame)
    assert signed[40, 50] == pytest.approx(8.0 * (0.5 - truth.inv_depth[40, 50]))
    assert has_true_defocus(scene.record, frame)
    assert not has_true_defocus(scene.record, FrameRecord("x.png", 0.5, 0.0))


def test_different_sizes_are_rejected(made: Any, add_scene: Callable[..., Path]) -> None:
    folder = add_scene("focal_stacks", "stack", "here")
    scene = choose_scenes(made.root, made.locations, "dev").scenes[0]
    truth = read_maps(scene)
    write_image(folder / "frame_0.png", np.zeros((10, 10, 3), dtype=np.uint8))
    with pytest.raises(CaptureError, match="size"):
        read_frame(scene, scene.record.frames[0], truth)
    write_image(folder / "confidence.png", np.zeros((10, 10), dtype=np.uint8))
    with pytest.raises(CaptureError, match="confidence"):
        read_maps(scene)
    write_image(folder / "sharp.png", np.zeros((10, 10, 3), dtype=np.uint8))
    with pytest.raises(CaptureError, match="sharp image"):
        read_maps(scene)


def test_depth_edges_have_the_given_reach_and_unknown_depth_has_none() -> None:
    inv_depth = np.zeros((20, 30), dtype=np.float32)
    inv_depth[:, 15:] = 1.0
    near = near_depth_edges(inv_depth, 0.5, 3)
    # the step lies between columns 14 and 15; differences over two pixels see it from both
    assert near[:, 11:19].all() and not near[:, :11].any() and not near[:, 19:].any()
    inv_depth[:, 10:20] = np.nan
    assert not near_depth_edges(inv_depth, 0.5, 3).any()
    slope = np.linspace(0, 1, 30, dtype=np.float32)[None].repeat(20, axis=0)
    assert not near_depth_edges(slope, 0.1, 3).any()
