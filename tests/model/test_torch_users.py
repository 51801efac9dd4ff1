"""What users of PyTorch expect of the network: from_pretrained, torch.compile, channels_last, gradients, parts."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from mddnet.config import ModelConfig, Recipe  # noqa: E402
from mddnet.errors import ModelError  # noqa: E402
from mddnet.model.archive import pack  # noqa: E402
from mddnet.model.checkpoint import save_weights  # noqa: E402
from mddnet.model.decoder import Decoder  # noqa: E402
from mddnet.model.encoder import Encoder  # noqa: E402
from mddnet.model.folder import MODEL_FILES, shipped_root  # noqa: E402
from mddnet.model.network import MDDNet  # noqa: E402


@pytest.fixture(scope="module")
def network() -> MDDNet:
    if not (shipped_root() / "small" / "model.safetensors").is_file():
        pytest.skip("the weights to go on from are not in the package")
    return MDDNet.from_pretrained("small")


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(2, 3, 64, 128)


def test_shipped_model_is_a_trainable_module(network: MDDNet, image: torch.Tensor) -> None:
    assert isinstance(network, torch.nn.Module) and not network.training
    learner = copy.deepcopy(network).train()
    sum(value.mean() for value in learner(image)).backward()
    assert all(p.grad is not None for p in learner.parameters())


@pytest.mark.slow
def test_a_folder_and_a_zip_give_the_same_network(tmp_path, image: torch.Tensor) -> None:
    recipe = Recipe.model_validate({"name": "trial", "model": {"pretrained": False}})
    made = MDDNet(recipe.model).eval()
    save_weights(tmp_path / "mine", recipe, made.state_dict(), steps=0)
    with (tmp_path / "mine.zip").open("wb") as stream:
        pack(tmp_path / "mine", stream, MODEL_FILES)
    for reference in (tmp_path / "mine", str(tmp_path / "mine.zip")):
        with torch.no_grad():
            assert torch.equal(MDDNet.from_pretrained(reference)(image).defocus_px, made(image).defocus_px)
    with pytest.raises(ModelError, match="no such model"):
        MDDNet.from_pretrained(tmp_path / "nowhere")
    (tmp_path / "mine" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors: no such file"):
        MDDNet.from_pretrained(tmp_path / "mine")


def test_weights_of_another_network_are_refused(tmp_path) -> None:
    recipe = Recipe.model_validate({"name": "trial", "model": {"pretrained": False}})
    other = ModelConfig(pretrained=False, fine_channels=0)
    save_weights(tmp_path, recipe, MDDNet(other).state_dict(), steps=0)
    with pytest.raises(ModelError, match=r"model\.safetensors: .*config\.json"):
        MDDNet.from_pretrained(tmp_path)


@pytest.mark.slow
def test_torch_compile_captures_one_graph(image: torch.Tensor) -> None:
    """Only the graph capture, common to all backends; compilation would need a C++ compiler and minutes."""
    network = MDDNet(ModelConfig(encoder="resnet10t", pretrained=False)).eval()
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        for got, expected in zip(compiled(image), network(image), strict=True):
            torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_channels_last_gives_the_same_maps(network: MDDNet, image: torch.Tensor) -> None:
    other = copy.deepcopy(network).to(memory_format=torch.channels_last)
    weight = other.encoder.body.conv_stem.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        for got, expected in zip(other(image.to(memory_format=torch.channels_last)), network(image), strict=True):
            torch.testing.assert_close(got, expected, atol=2e-3, rtol=1e-3)


def test_encoder_decoder_and_head_are_reusable() -> None:
    """A decoder needs only the channels of an encoder, and its head is a separate layer."""
    encoder = Encoder("resnet10t", pretrained=False)
    levels = encoder(torch.rand(1, 3, 64, 96))
    assert [level.shape[1] for level in levels] == encoder.channels
    assert [64 // level.shape[2] for level in levels] == encoder.strides
    decoder = Decoder(encoder.channels[-1], encoder.channels[-2:0:-1], (32, 24, 16), out_channels=3)
    x = levels[-1]
    for block, skip in zip(decoder.blocks, levels[-2:0:-1], strict=True):
        x = block(x, skip)
    assert decoder.head(x).shape == (1, 3, 16, 24)
