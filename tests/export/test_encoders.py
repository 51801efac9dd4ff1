"""Encoders of other families: each gives maps, learns and exports. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from tests.support.quick_export import quick_export_graph  # noqa: E402

from mddnet.config import ModelConfig, load_recipe  # noqa: E402
from mddnet.errors import ModelError  # noqa: E402
from mddnet.model.network import INPUT_MULTIPLE, MDDNet  # noqa: E402

RECIPE = Path(__file__).parents[2] / "recipes" / "small.toml"
FAMILIES = (
    "resnet10t",
    "regnetx_002",
    "mobilenetv3_small_050",
    "ghostnet_050",
    "convnext_atto",
    "edgenext_xx_small",
    "hgnetv2_b0",
)


def _network(encoder: str) -> MDDNet:
    torch.manual_seed(0)
    widths = (16, 16, 16, 16)
    return MDDNet(ModelConfig(encoder=encoder, pretrained=False, decoder_channels=widths, half_size_pass=False))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", FAMILIES)
def test_forward_backward_and_export(encoder: str) -> None:
    network = _network(encoder).train()
    image = torch.rand(2, 3, INPUT_MULTIPLE, 2 * INPUT_MULTIPLE)
    maps = network.training_maps(network(image))
    assert all(m.shape == (2, 1, *image.shape[2:]) and torch.isfinite(m).all() for m in maps)
    sum(m.mean() for m in maps).backward()
    first = next(network.encoder.parameters())  # the farthest from the maps
    assert first.grad is not None and first.grad.abs().sum() > 0

    network.eval()
    session = onnxruntime.InferenceSession(quick_export_graph(network).SerializeToString())
    with torch.no_grad():
        expected = network.infer(image)
    for ours, theirs in zip(expected[:3], session.run(None, {"image": image.numpy()}), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4)
    assert session.run(None, {"image": image.numpy()[:1, :, :50, :33]})[0].shape == (1, 1, 50, 33)


@pytest.mark.slow
def test_encoder_needs_only_its_name() -> None:
    recipe = load_recipe(RECIPE, ["model.encoder=convnext_tiny", "model.pretrained=false"])
    network = MDDNet(recipe.model)
    # convnext begins at stride 4: the width of the level of stride 2 has no use
    assert network.encoder.strides == [4, 8, 16, 32] and len(network.depth_decoder.blocks) == 3
    assert network.depth_decoder.head.in_channels == recipe.model.decoder_channels[2]


def test_too_few_decoder_levels_are_refused() -> None:
    with pytest.raises(ModelError, match=r"decoder_channels has 2 entries.*needs 3"):
        MDDNet(ModelConfig(encoder="convnext_atto", pretrained=False, decoder_channels=(64, 32)))
