"""Depth networks of transformers as baselines, on tiny ones with random weights that are saved here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mddnet.errors import ModelError
from mddnet.evaluate.baselines import find_baseline

PHOTO = np.random.default_rng(0).integers(0, 256, (48, 70, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torchvision", reason="the extra baselines")
    transformers = pytest.importorskip("transformers", reason="the extra baselines")
    root = tmp_path_factory.mktemp("networks")
    backbone = transformers.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        out_features=["stage1", "stage2"],
        reshape_hidden_states=False,
    )
    processor = transformers.DPTImageProcessor(size={"height": 56, "width": 56}, ensure_multiple_of=14)
    for kind in ("relative", "metric"):
        config = transformers.DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=16,
            reassemble_factors=[4, 2],
            neck_hidden_sizes=[8, 8],
            fusion_hidden_size=8,
            head_hidden_size=8,
            depth_estimation_type=kind,
            max_depth=10 if kind == "metric" else 1,
        )
        transformers.DepthAnythingForDepthEstimation(config).save_pretrained(root / kind)
        processor.save_pretrained(root / kind)
    glpn = transformers.GLPNConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, decoder_hidden_size=8, num_attention_heads=[1] * 4
    )
    transformers.GLPNForDepthEstimation(glpn).save_pretrained(root / "glpn")
    transformers.GLPNImageProcessor().save_pretrained(root / "glpn")
    return root


@pytest.mark.slow
@pytest.mark.parametrize(("name", "quantity"), [("relative", "inv_depth"), ("metric", "depth_m"), ("glpn", "depth_m")])
def test_a_network_has_a_quantity_and_a_map_of_the_photos_size(networks: Path, name: str, quantity: str) -> None:
    baseline = find_baseline(str(networks / name))
    assert baseline.name == name and baseline.quantities == (quantity,)
    values = baseline.infer(PHOTO).inv_depth
    assert values.shape == PHOTO.shape[:2] and values.dtype == np.float32 and np.isfinite(values).all()
    # the same photo gives the same estimate: nothing random is left switched on
    np.testing.assert_array_equal(values, baseline.infer(PHOTO).inv_depth)


@pytest.mark.slow
def test_missing_weights_are_reported(networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text((networks / "glpn" / "config.json").read_text())
    with pytest.raises(ModelError, match=r"expected config\.json, preprocessor_config\.json and model\.safetensors"):
        find_baseline(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match=r"bert; .*depth_anything"):
        find_baseline(str(tmp_path))
    # pickled weights are refused
    (networks / "relative" / "model.safetensors").rename(networks / "relative" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        find_baseline(str(networks / "relative"))


def test_an_unknown_name_explains_how_to_get_weights() -> None:
    with pytest.raises(ModelError, match="hf download"):
        find_baseline("depth-anything")
