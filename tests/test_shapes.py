"""Shapes and types of tensors are those of the annotations, from the scenes to the gradients of the losses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

jaxtyping = pytest.importorskip("jaxtyping")
torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from mddnet.config import DataConfig, LossConfig, ModelConfig  # noqa: E402
from tests.support.made_scenes import make_scene, make_scene_root  # noqa: E402
from tests.support.shapes import with_checked_shapes  # noqa: E402

CAP_PX = 64.0


@pytest.fixture(scope="module")
def checked() -> SimpleNamespace:
    """Copies of the stages that check calls, ``data_batch`` for ``mddnet.data.batch``, and a network of theirs."""
    copies = with_checked_shapes("mddnet.data", "mddnet.model", "mddnet.loss")
    by_name = {name.removeprefix("mddnet.").replace(".", "_"): module for name, module in copies.items()}
    return SimpleNamespace(**by_name, network=by_name["model_network"].MDDNet(ModelConfig(pretrained=False)))


@pytest.fixture(scope="module")
def batch(checked: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Upright or lying crops of scenes, and of photos blurred by a disc."""
    root, _ = make_scene_root(tmp_path_factory.mktemp("shapes") / "scenes")
    make_scene(root, "photo", "e", "place_e", 6, capture="photo")
    locations = dict.fromkeys(("place_a", "place_b", "place_c", "place_e"), "train") | {"place_d": "dev"}
    config = DataConfig(
        crop=(64, 96), late_crop=(64, 96), batch_size=4, mixture={"focal_stacks": 1, "rgbd": 1, "discs": 1}
    )
    entries = checked.data_scene_pool.open_scenes(root, locations, "train")
    return checked.data_loader.SampleBatches(entries, config, seed=0, length=2)[0]


@pytest.mark.parametrize("tasks", ["both", "depth", "defocus"])
def test_a_batch_passes_from_the_scenes_to_the_losses(checked: SimpleNamespace, batch: Any, tasks: str) -> None:
    network = checked.network
    if tasks != "both":
        config = ModelConfig(pretrained=False, tasks=tasks, soft_connection=False)
        network = checked.model_network.MDDNet(config)
    total, terms = checked.loss_total.total_loss(network(batch.image), batch, LossConfig(), CAP_PX, torch.Generator())
    total.backward()
    assert len(terms) >= 3 and torch.isfinite(total)


def pixels(*size: int) -> np.ndarray:
    return np.full(size, 128, np.uint8)


def depths(*size: int) -> np.ndarray:
    return np.random.default_rng(0).random(size, np.float32)


def tensor(*size: int) -> Any:
    return torch.rand(size, generator=torch.Generator().manual_seed(0))


def view(c: SimpleNamespace) -> Any:
    return c.data_augment.View(top=0, left=0, height=16, width=24, quarter_turns=1, mirrored=False)


MAP, IMAGES, FEATURES = (2, 1, 8, 8), (2, 3, 64, 96), (2, 8, 4, 4)


@pytest.mark.parametrize(
    ("call", "right", "wrong"),
    [
        (lambda c, x: c.data_augment.view_image(x, view(c), (8, 12)), pixels(16, 24, 3), pixels(16, 24)),
        (lambda c, x: c.data_augment.view_map(x, view(c), (8, 12)), depths(16, 24), depths(16, 24).astype(float)),
        (lambda c, x: c.data_augment.photometric(np.random.default_rng(0), x, 0.0), pixels(8, 8, 3), pixels(8, 8, 4)),
        (lambda c, x: c.data_disc_blur.blurred_by_disc(x, 2.0), pixels(16, 16, 3), pixels(16, 16, 1)),
        (lambda c, x: c.data_scene_pool.truth_of("a", depths(16, 24), x), depths(16, 24), depths(16, 1)),
        (lambda c, x: c.network.encoder(x), tensor(*IMAGES), tensor(3, 64, 96)),
        (lambda c, x: c.model_context.GlobalContext(8)(x), tensor(*FEATURES), tensor(8, 4, 4)),
        (
            lambda c, x: c.model_decoder.UpsamplingBlock(8, 8, 8, torch.nn.Identity())(tensor(*FEATURES), x),
            tensor(2, 8, 8, 8),
            tensor(2, 8, 8, 1),
        ),
        (lambda c, x: c.model_decoder.SoftConnection(8)(tensor(*FEATURES), x), tensor(*FEATURES), tensor(2, 8, 1, 1)),
        (lambda c, x: c.loss_depth.masked_mean(tensor(*MAP), x), tensor(*MAP), tensor(2, 1, 1, 1)),
        (lambda c, x: c.loss_depth.scale_shift_invariant_l1(x, tensor(*MAP), tensor(*MAP)), tensor(*MAP), tensor(8, 8)),
        (lambda c, x: c.loss_defocus.coc_huber(x, tensor(*MAP), tensor(*MAP), 64), tensor(*MAP), tensor(2, 1, 8, 1)),
        (
            lambda c, x: c.loss_lens_law.lens_law_l1(*[tensor(*MAP)] * 3, tensor(2), x, tensor(*MAP), 64),
            tensor(2),
            tensor(1),
        ),
        (lambda c, x: c.loss_uncertainty.laplace_nll(tensor(*MAP), x), tensor(*MAP), tensor(2)),
    ],
)
def test_another_shape_or_type_fails(
    checked: SimpleNamespace, call: Callable[..., object], right: Any, wrong: Any
) -> None:
    """Most of these would be broadcast in silence."""
    call(checked, right)
    with pytest.raises(jaxtyping.TypeCheckError):
        call(checked, wrong)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("weight", lambda x: x.repeat(1, 1, 2, 2)),
        ("inv_depth", lambda x: x.double()),
        ("kappa_px", lambda x: x[:1]),
        ("camera", lambda x: x[:, :1]),
        ("crisp", lambda x: x.float()),
    ],
)
def test_fields_of_a_batch_belong_together(batch: Any, field: str, wrong: Callable[[Any], Any]) -> None:
    replace(batch, **{field: getattr(batch, field).clone()})
    with pytest.raises(jaxtyping.TypeCheckError):
        replace(batch, **{field: wrong(getattr(batch, field))})


def test_maps_of_another_crop_do_not_reach_the_loss(checked: SimpleNamespace, batch: Any) -> None:
    maps = checked.network(batch.image[..., :32, :])
    with pytest.raises(jaxtyping.TypeCheckError):
        checked.loss_total.total_loss(maps, batch, LossConfig(), CAP_PX, torch.Generator())


def test_the_plain_modules_stay_in_use(checked: SimpleNamespace) -> None:
    import mddnet.loss.depth

    assert mddnet.loss.depth is sys.modules["mddnet.loss.depth"] is not checked.loss_depth
    assert mddnet.loss.depth.masked_mean(tensor(*MAP), tensor(2, 1, 1, 1)).shape == (2,)
