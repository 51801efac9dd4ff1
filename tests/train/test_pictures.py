"""Images of a run: layout, and export to TensorBoard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.made_scenes import make_scene_root  # noqa: E402
from tests.support.tiny_recipe import tiny_recipe  # noqa: E402

from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS, colours  # noqa: E402
from mddnet.data.batch import Batch  # noqa: E402
from mddnet.model.network import Maps  # noqa: E402
from mddnet.scenes.small_pictures import UNKNOWN_COLOUR  # noqa: E402
from mddnet.train.loop import train  # noqa: E402
from mddnet.train.pictures import figure  # noqa: E402

H, W = 32, 40


def samples(count: int) -> Batch:
    u = torch.linspace(0, 1, W).expand(count, 1, H, W).clone()
    weight = torch.ones_like(u)
    weight[:, :, :8] = 0
    return Batch(
        image=torch.full((count, 3, 4 * H, 4 * W), 0.5),
        inv_depth=torch.where(weight > 0, u, torch.nan),
        signed_defocus_px=10 * (0.5 - u),
        weight=weight,
        u_focus=torch.full((count,), 0.5),
        kappa_px=torch.full((count,), 10.0),
        camera=torch.zeros(count, 2),
        **{name: torch.zeros(count, dtype=torch.bool) for name in ("ordinal", "exact", "synthetic", "pseudo", "crisp")},
    )


def test_perfect_prediction_has_colours_of_truth() -> None:
    batch = samples(6)
    u = torch.nan_to_num(batch.inv_depth) * 0.3 + 0.2  # in another scale
    u[:, :, :8] = u[:, :, 8:9]
    sure = torch.where(batch.signed_defocus_px > 0, 50.0, -50.0)
    picture = figure(batch, Maps(inv_depth=u, defocus_px=batch.signed_defocus_px.abs(), sign_logit=sure), 40.0)
    assert picture.shape == (4 * H, 5 * W, 3) and picture.dtype == np.uint8
    photo, depth, depth_said, coc, coc_said = np.split(picture[:H], 5, axis=1)
    assert (photo == 128).all()
    assert (depth[:8] == UNKNOWN_COLOUR).all() and (coc[:8] == UNKNOWN_COLOUR).all()
    assert np.abs(depth[8:].astype(int) - depth_said[8:]).max() <= 3
    assert np.abs(coc[8:].astype(int) - coc_said[8:]).max() <= 3
    assert (depth[8, 0] == DEPTH_COLOURS[0]).all() and (depth[8, -1] == DEPTH_COLOURS[-1]).all()
    # 5 px of 40, behind the plane of focus: square root of an eighth
    expected = colours(np.float32([[0.125**0.5]]), -1, 1, SIGN_COLOURS)[0, 0]
    assert np.abs(coc[8, 0].astype(int) - expected).max() <= 2


def test_missing_maps_are_omitted() -> None:
    batch = samples(1)
    assert figure(batch, Maps(inv_depth=torch.rand(1, 1, H, W)), 40.0).shape == (H, 3 * W, 3)
    picture = figure(batch, Maps(defocus_px=batch.signed_defocus_px.abs()), 40.0)
    assert picture.shape == (H, 3 * W, 3)
    truth, said = picture[8:, W : 2 * W], picture[8:, 2 * W :]
    assert (truth == said).all() and (truth[:, 0] == truth[:, -1]).all()  # no sign: both ends alike


@pytest.mark.slow
def test_images_are_in_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    root, split = make_scene_root(tmp_path / "scenes")
    train(tiny_recipe(root, split, tmp_path / "run", optim={"steps": 4}, save_every=2))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    found = events.Images("train/samples")
    assert [event.step for event in found] == [2, 4]
    early, late = ((image.height, image.width) for image in found)
    assert early == (2 * 16, 5 * 16) and late in {(2 * 16, 5 * 24), (2 * 24, 5 * 16)}  # upright, or not
