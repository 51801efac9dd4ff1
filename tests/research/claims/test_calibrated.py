"""The curve of a network is fitted to its training data, independently of its previous curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from research.claims.calibrated import Defocus
from research.claims.run import all_scenes
from tests.support.made_scenes import make_scene, make_scene_root

from mddnet.data.scene_pool import SceneEntry
from mddnet.model.folder import shipped_root
from mddnet.model.network import MDDNet
from mddnet.scenes.store import read_image

SMALL = shipped_root() / "small"


@pytest.fixture
def training(tmp_path: Path) -> list[SceneEntry]:
    scenes, split = make_scene_root(tmp_path / "scenes")
    make_scene(scenes, "photos", "sharp", "photos/sharp", 3, size=(256, 256), capture="photo")
    return all_scenes(scenes, split)


@pytest.mark.slow
def test_previous_curve_does_not_matter(training: list[SceneEntry], monkeypatch: pytest.MonkeyPatch) -> None:
    photo = next(read_image(e.folder / e.record.sharp) for e in training if e.group == "photos")
    method = Defocus(SMALL, training)
    answer = method.estimate(photo)
    assert answer.inv_depth is None and answer.signed_px is None and answer.defocus_px is not None

    load = MDDNet.from_pretrained

    def stretched(model: Path) -> MDDNet:
        network = load(model)
        network.defocus_curve.stretch(2.0, 0.0)
        return network

    monkeypatch.setattr(MDDNet, "from_pretrained", stretched)
    again = Defocus(SMALL, training)
    assert again.gain == method.gain
    found = again.estimate(photo).defocus_px
    assert found is not None and np.array_equal(found, answer.defocus_px)


def test_missing_photos_name_the_model(training: list[SceneEntry]) -> None:
    with pytest.raises(ValueError, match="small: cannot fit a curve"):
        Defocus(SMALL, [entry for entry in training if entry.group != "photos"])
