"""Photos blurred by one disc: the stated CoC is the true one, and red is sharper behind the plane of focus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.made_scenes import make_scene  # noqa: E402

from mddnet.config import DataConfig  # noqa: E402
from mddnet.data.disc_blur import LARGEST_COC_PX, SMALLEST_COC_PX, blurred_by_random_disc  # noqa: E402
from mddnet.data.loader import SampleBatches  # noqa: E402
from mddnet.data.scene_pool import open_scenes  # noqa: E402
from mddnet.errors import RecipeError  # noqa: E402

POINT = np.zeros((65, 65, 3), dtype=np.uint8)
POINT[32, 32] = 255


def _moment_px(channel: np.ndarray) -> float:
    """CoC diameter by the variance of a blurred point, 4 sigma, in linear light (IEC 61966-2-1 written out)."""
    encoded = channel / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    y, x = np.mgrid[-32:33, -32:33]
    return float(4 * np.sqrt((linear * (x**2 + y**2)).sum() / linear.sum() / 2))


def test_point_becomes_disc_of_stated_diameter() -> None:
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(60):
        image, signed_px = blurred_by_random_disc(rng, POINT)
        assert SMALLEST_COC_PX <= abs(signed_px) <= LARGEST_COC_PX
        if abs(signed_px) < 8:  # beyond, eight bits swallow the light of a single point
            # 8 bits round what is dark, hence the tolerance
            assert _moment_px(image[..., 1]) == pytest.approx(abs(signed_px), rel=0.08, abs=0.15)
            seen += 1
    assert seen > 20


def test_red_is_sharper_behind_focus_and_softer_in_front() -> None:
    rng = np.random.default_rng(1)
    sides = set()
    for _ in range(60):
        image, signed_px = blurred_by_random_disc(rng, POINT)
        if 3 < abs(signed_px) < 7:
            red, green = _moment_px(image[..., 0]), _moment_px(image[..., 1])
            assert (red < green + 0.05) if signed_px > 0 else (red > green - 0.05)
            sides.add(signed_px > 0)
    assert sides == {True, False}


@pytest.mark.slow
def test_colour_error_is_as_large_near_focus() -> None:
    rng = np.random.default_rng(3)
    apart = []
    while len(apart) < 12:
        image, signed_px = blurred_by_random_disc(rng, POINT)
        if 1.5 < signed_px < 2.5:  # behind focus, where red is the smaller disc
            apart.append(_moment_px(image[..., 1]) - _moment_px(image[..., 0]))
    # up to 1.5 px by 0.1 to 1.0 and 0.4 to 1.0; a limit of a quarter of the disc would leave 0.6 px at most
    assert max(apart) > 0.75


def test_flat_image_is_unchanged() -> None:
    flat = np.full((40, 50, 3), (90, 120, 200), dtype=np.uint8)
    image, _ = blurred_by_random_disc(np.random.default_rng(2), flat)
    assert np.abs(image.astype(int) - flat).max() <= 1


def test_discs_in_a_mixture_are_photos_of_one_depth(tmp_path: Path) -> None:
    make_scene(tmp_path, "focal_stacks", "a", "place_a", 1)
    make_scene(tmp_path, "photos", "b", "photos/b", 2, capture="photo")
    entries = open_scenes(tmp_path, {"place_a": "train"}, "train")
    config = DataConfig.model_validate(
        {"crop": (64, 64), "batch_size": 4, "mixture": {"discs": 1.0}, "photometric": 0.0}
    )
    batch = SampleBatches(entries, config, seed=0, length=2)[0]
    assert batch.synthetic.all() and (batch.weight == 1).all()
    assert (batch.inv_depth == 0.5).all()
    assert (batch.signed_defocus_px.amax((1, 2, 3)) == batch.signed_defocus_px.amin((1, 2, 3))).all()
    assert len(batch.signed_defocus_px[:, 0, 0, 0].unique()) == 4
    without = [e for e in entries if e.record.capture != "photo"]
    with pytest.raises(RecipeError, match="discs"):
        SampleBatches(without, config, seed=0, length=2)
