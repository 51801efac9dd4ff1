"""The defocus curve is fitted to discs of known size after training; if that fails, it is the identity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from tests.support.made_scenes import KAPPA_PX, make_scene  # noqa: E402

from mddnet.config import ModelConfig  # noqa: E402
from mddnet.data.scene_pool import SceneEntry, open_scenes  # noqa: E402
from mddnet.model.network import INPUT_MULTIPLE, Maps, MDDNet  # noqa: E402
from mddnet.train.defocus_response import (  # noqa: E402
    DISCS_PX,
    STRETCH_FROM_PX,
    fit_curve,
    photos_of_scenes,
    stretch_to_stacks,
)


class Reader(MDDNet):
    """Predicts blur from the contrast of the whole image, and applies the curve."""

    def infer(self, image: torch.Tensor) -> Maps:
        contrast = (image[..., 1:] - image[..., :-1]).abs().mean()
        answer = (1.0 / contrast.clamp_min(1e-6)).sqrt()
        return Maps(None, self.defocus_curve(answer).expand(1, 1, *image.shape[2:]), None, None)


@pytest.fixture
def entries(tmp_path: Path):
    make_scene(tmp_path, "photos", "a", "photos/a", 1, capture="photo")
    make_scene(tmp_path, "focal_stacks", "b", "place_b", 2)
    return open_scenes(tmp_path, {"place_b": "train"}, "train")


def test_fitted_curve_predicts_discs_correctly(entries) -> None:
    network = Reader(ModelConfig(pretrained=False)).eval()
    before = network.defocus_curve.values.clone()
    assert fit_curve(network, photos_of_scenes(entries))
    assert not torch.equal(network.defocus_curve.values, before)
    again = [entry for entry in entries if entry.record.capture == "photo"]
    raw = Reader(ModelConfig(pretrained=False)).eval()
    raw.defocus_curve.reset()
    from mddnet.color import linear_from_srgb8, srgb8_from_linear
    from mddnet.scenes.render import disc_kernel
    from mddnet.scenes.store import read_image

    sharp = read_image(again[0].folder / again[0].record.sharp)
    cv2 = pytest.importorskip("cv2")
    for diameter in (2.0, 4.0, 8.0):
        blurred = cv2.filter2D(linear_from_srgb8(sharp), -1, disc_kernel(diameter), borderType=cv2.BORDER_REFLECT_101)
        height, width = (size // INPUT_MULTIPLE * INPUT_MULTIPLE for size in blurred.shape[:2])
        pixels = np.ascontiguousarray(srgb8_from_linear(blurred)[:height, :width].transpose(2, 0, 1))
        image = torch.from_numpy(pixels)[None].float() / 255.0
        corrected, uncorrected = (float(n.infer(image).defocus_px.median()) for n in (network, raw))
        # the knots of the curve lie apart, so it is not exact
        assert abs(corrected - diameter) < 0.6 and abs(corrected - diameter) < abs(uncorrected - diameter) + 0.1


def test_curve_is_identity_without_photos_or_defocus(entries) -> None:
    network = Reader(ModelConfig(pretrained=False)).eval()
    network.defocus_curve.fit([0.0, 2.0], [0.0, 4.0])
    without_photos = [entry for entry in entries if entry.record.capture != "photo"]
    assert not fit_curve(network, photos_of_scenes(without_photos))
    assert network.defocus_curve.values.tolist() == pytest.approx(ModelConfig().curve_knots_px)
    depth_only = MDDNet(
        ModelConfig(
            pretrained=False, tasks="depth", soft_connection=False, sign=False, law_path=False, chromatic_cue=False
        )
    )
    assert not fit_curve(depth_only.eval(), photos_of_scenes(entries))


def test_nonmonotonic_response_leaves_identity(entries) -> None:
    class Constant(Reader):
        def infer(self, image: torch.Tensor) -> Maps:
            return Maps(None, torch.ones(1, 1, *image.shape[2:]), None, None)

    network = Constant(ModelConfig(pretrained=False)).eval()
    assert not fit_curve(network, photos_of_scenes(entries))
    assert network.defocus_curve.values.tolist() == pytest.approx(ModelConfig().curve_knots_px)
    assert DISCS_PX[0] == 0


class Shrinker(MDDNet):
    """Predicts the true CoC of the frames of a synthetic scene, reduced beyond 4 px by a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__(ModelConfig(pretrained=False))
        self.factor, self.calls = factor, 0

    def infer(self, image: torch.Tensor) -> Maps:
        height, width = image.shape[2:]
        u = torch.linspace(0.1, 0.9, width)[None].repeat(height, 1)
        u[: height // 3] = 0.1
        truth = (KAPPA_PX * (u - (0.1, 0.5, 0.9)[self.calls % 3])).abs()
        self.calls += 1
        answer = torch.where(truth > STRETCH_FROM_PX, STRETCH_FROM_PX + (truth - STRETCH_FROM_PX) * self.factor, truth)
        return Maps(None, self.defocus_curve(answer)[None, None], None, None)


def real(entry: SceneEntry, **changes: str) -> SceneEntry:
    return replace(entry, record=replace(entry.record, **{"provenance": "real", **changes}))


@pytest.fixture
def stack(tmp_path: Path) -> SceneEntry:
    make_scene(tmp_path, "focal_stacks", "b", "place_b", 2)
    return open_scenes(tmp_path, {"place_b": "train"}, "train")[0]


def test_captured_stacks_stretch_the_curve(stack: SceneEntry) -> None:
    network = Shrinker(1 / 1.1).eval()
    assert stretch_to_stacks(network, [real(stack)]) == pytest.approx(1.1)
    assert network.defocus_curve(torch.tensor([2.0, 4.0, 8.0])).tolist() == pytest.approx([2.0, 4.0, 8.4], abs=1e-4)
    assert stretch_to_stacks(Shrinker(1.0).eval(), [real(stack)]) == pytest.approx(1.0)


def test_locations_have_equal_weight_and_gain_is_near_one(stack: SceneEntry) -> None:
    def wide(location: str) -> SceneEntry:
        entry = real(stack, location=location)
        frames = [replace(frame, kappa_px=2 * KAPPA_PX) for frame in entry.record.frames]
        return replace(entry, record=replace(entry.record, frames=frames))

    assert stretch_to_stacks(Shrinker(1.0).eval(), [wide("c")]) == pytest.approx(1.15)
    # three stacks of a location that is read right against two locations that are read too small
    right = [real(stack)] * 3
    assert stretch_to_stacks(Shrinker(1.0).eval(), [*right, wide("c"), wide("d")]) == pytest.approx(1.15)
    assert stretch_to_stacks(Shrinker(1.0).eval(), [*right, wide("c"), wide("c")]) == pytest.approx(1.0)


def test_rendered_and_ordinal_scenes_do_not_stretch_the_curve(stack: SceneEntry) -> None:
    network = Shrinker(1 / 1.1).eval()
    assert stretch_to_stacks(network, [stack, real(stack, unit="ordinal")]) == 1.0
    assert stretch_to_stacks(network, []) == 1.0
    assert network.calls == 0
    assert network.defocus_curve.values.tolist() == pytest.approx(ModelConfig().curve_knots_px)
