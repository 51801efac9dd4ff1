"""Pseudo-labels: which pass, on methods whose estimates are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest

from mddnet.errors import ModelError
from mddnet.evaluate.methods import Quantity, estimate_from
from mddnet.evaluate.pseudo_labels import LARGEST_DIFFERENCE, Checks, pseudo_label
from mddnet.metrics import Estimate
from mddnet.types import Float32Array, UInt8Array

HEIGHT, WIDTH = 48, 64


class Says:
    """A method that estimates with a function of the photo."""

    name: ClassVar[str] = "says"

    def __init__(self, depth: Callable[[UInt8Array], Float32Array], quantity: Quantity = "inv_depth") -> None:
        self.depth, self.quantity, self.asked = depth, quantity, 0

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (self.quantity,)

    def infer(self, photo: UInt8Array, /) -> Estimate:
        self.asked += 1
        return estimate_from(self.quantity, self.depth(photo).astype(np.float32))


def red(photo: UInt8Array) -> Float32Array:
    """Depth that is painted into the photo: of one mind however it is shown."""
    return photo[..., 0] / np.float32(51)


def columns(photo: UInt8Array) -> Float32Array:
    """Whatever is on the right is near: the mirror image says the contrary."""
    return np.broadcast_to(np.arange(photo.shape[1], dtype=np.float32), photo.shape[:2])


def rows_of_the_whole(photo: UInt8Array) -> Float32Array:
    """Lower is nearer; a smaller picture is told upside down."""
    down = np.arange(photo.shape[0], dtype=np.float32)[:, None]
    return np.broadcast_to(down if photo.shape[0] == HEIGHT else -down, photo.shape[:2])


@pytest.fixture
def photo() -> UInt8Array:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[..., 0] = np.linspace(0, 255, WIDTH).round()
    return pixels


def test_a_consistent_label_is_accepted_in_units_of_its_range(photo: UInt8Array) -> None:
    found = pseudo_label(Says(red), photo)
    assert found.reason == "" and found.measures == {"known": 1.0, "mirror": 1.0, "middle": 1.0}
    # 0 at the 2nd and 1 at the 98th percentile of a ramp from 0 to 5
    low, high = np.percentile(red(photo), (2, 98))
    np.testing.assert_allclose(found.inv_depth, (red(photo) - low) / (high - low), atol=1e-5)


def test_depth_in_metres_is_inverted(photo: UInt8Array) -> None:
    found = pseudo_label(Says(lambda p: 1 / (red(p) + 1), "depth_m"), photo)
    assert found.reason == "" and found.inv_depth[0, -1] > found.inv_depth[0, 0]


def test_a_horizontal_ramp_is_rejected_after_two_runs(photo: UInt8Array) -> None:
    method = Says(columns)
    found = pseudo_label(method, photo)
    assert found.reason.startswith("known ") and found.measures["mirror"] == 0.0 and method.asked == 2
    assert pseudo_label(method, photo, Checks(known=0)).reason.startswith("mirror 0.000; expected at least 0.9")


def test_a_method_that_differs_on_the_centre_crop_is_rejected(photo: UInt8Array) -> None:
    found = pseudo_label(Says(rows_of_the_whole), photo)
    assert found.reason == "middle 0.000; expected at least 0.85"


def test_real_blur_has_the_last_word(photo: UInt8Array) -> None:
    mask = np.ones((HEIGHT, WIDTH), dtype=np.bool_)
    assert pseudo_label(Says(red), photo, Checks(), red(photo), mask).measures["law"] == 1.0
    found = pseudo_label(Says(red), photo, Checks(), -red(photo), mask)
    assert found.reason == "law 0.000; expected at least 0.8"
    # a scene of one depth has no order: nothing to object with
    assert "law" not in pseudo_label(Says(red), photo, Checks(), np.ones_like(red(photo)), mask).measures
    with pytest.raises(ValueError, match="shape"):
        pseudo_label(Says(red), photo, Checks(), red(photo)[:-1], mask[:-1])


def test_where_photo_and_mirror_image_differ_the_depth_is_unknown(photo: UInt8Array) -> None:
    def patch(picture: UInt8Array) -> Float32Array:
        depth = red(picture).copy()
        depth[:6, :6] += 5  # the whole range, in the corner of whatever it is shown
        return depth

    found = pseudo_label(Says(patch), photo)
    unknown = np.isnan(found.inv_depth)
    assert unknown[:6, :6].all() and unknown[:6, -6:].all()
    assert unknown.sum() == 2 * 36 and found.measures["known"] == pytest.approx(1 - 72 / (HEIGHT * WIDTH))
    assert LARGEST_DIFFERENCE < 1


def test_a_constant_method_is_rejected(photo: UInt8Array) -> None:
    found = pseudo_label(Says(lambda p: np.ones(p.shape[:2], np.float32)), photo)
    assert found.reason == "range 0: one depth throughout" and np.isnan(found.inv_depth).all()
    with pytest.raises(ModelError, match="defocus_px; expected inv_depth or depth_m"):
        pseudo_label(Says(red, "defocus_px"), photo)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_check_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match=rf"Checks\.middle is {share};"):
        Checks(middle=share)
