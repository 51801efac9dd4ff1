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
from mddnet.export.onnx import OUTPUTS  # noqa: E402
from mddnet.model.network import INPUT_MULTIPLE, MDDNet  # noqa: E402
from mddnet.types import MAP_STRIDE  # noqa: E402

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
    return MDDNet(ModelConfig(encoder=encoder, pretrained=False, decoder_channels=(16, 16, 16)))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", FAMILIES)
def test_forward_backward_and_export(encoder: str) -> None:
    network = _network(encoder).train()
    image = torch.rand(2, 3, INPUT_MULTIPLE, 2 * INPUT_MULTIPLE)
    maps = network(image)
    size = image.shape[2] // MAP_STRIDE, image.shape[3] // MAP_STRIDE
    assert all(m.shape in ((2, 1, *size), (2, 4)) and torch.isfinite(m).all() for m in maps)
    sum(m.mean() for m in maps).backward()
    first = next(network.encoder.parameters())  # the farthest from the maps
    assert first.grad is not None and first.grad.abs().sum() > 0

    network.eval()
    session = onnxruntime.InferenceSession(quick_export_graph(network).SerializeToString())
    with torch.no_grad():
        expected = network(image)
    for ours, theirs in zip(expected, session.run(list(OUTPUTS), {"image": image.numpy()}), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4)
    assert session.run(None, {"image": torch.rand(1, 3, 50, 33).numpy()})[0].shape == (1, 1, 13, 9)


@pytest.mark.slow
def test_encoder_needs_only_its_name() -> None:
    recipe = load_recipe(RECIPE, ["model.encoder=convnext_tiny", "model.pretrained=false"])
    network = MDDNet(recipe.model)
    # convnext begins at stride 4: there are no finer features for the defocus decoder
    assert network.encoder.strides == [4, 8, 16, 32] and network.fine is None
    assert network.depth_decoder.head.in_channels == recipe.model.decoder_channels[2]
