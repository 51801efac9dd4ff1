from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.support.made_focal_stack import textured

from mddnet.errors import RejectedScene
from mddnet.scenes.align import (
    Alignment,
    Similarity,
    apply_alignment,
    common_rectangle,
    estimate_alignment,
    parallax_of,
    register_pair,
    undo_parallax,
)
from mddnet.types import UInt8Array

H, W = 120, 160


def seen_through(picture: UInt8Array, transform: Similarity) -> UInt8Array:
    """Warp ``picture`` so that the content at x is at T x."""
    height, width = picture.shape[:2]
    matrix = transform.matrix(width, height)
    return np.asarray(cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC), dtype=np.uint8)


def luminance(picture: UInt8Array) -> np.ndarray:
    return picture.mean(axis=2).astype(np.float32) / 255


def test_convention_a_similarity_rotates_about_the_centre() -> None:
    quarter = Similarity(1j, 0j).matrix(5, 5)
    assert quarter @ [2, 2, 1] == pytest.approx([2, 2])
    assert quarter @ [4, 2, 1] == pytest.approx([2, 4])
    assert Similarity(2 + 0j, 3 - 1j).matrix(5, 5) @ [3, 2, 1] == pytest.approx([7, 1])


def test_a_pair_is_registered_to_a_tenth_of_a_pixel_despite_blur_and_exposure() -> None:
    picture = cv2.GaussianBlur(textured(H, W), (0, 0), 1.0)
    true = Similarity(1.03 * np.exp(0.01j), 4.2 - 2.6j)
    second = luminance(cv2.GaussianBlur(seen_through(picture, true), (0, 0), 1.0)) * 0.8 + 0.05
    fit = register_pair(luminance(picture), second.astype(np.float32))
    corner = complex(W, H) / 2
    assert abs((fit.transform.factor - true.factor) * corner) < 0.1
    assert abs(fit.transform.shift - true.shift) < 0.1
    assert fit.correlation > 0.95


def test_breathing_and_shake_of_a_stack_are_removed() -> None:
    picture = cv2.GaussianBlur(textured(H, W), (0, 0), 1.0)
    true = [Similarity(complex(1 + 0.01 * (i - 2)), complex(1.3 * (i - 2), (i - 2) ** 2 / 2)) for i in range(5)]
    frames = [seen_through(picture, t) for t in true]
    alignment = estimate_alignment(frames)
    assert alignment.reference == 2
    for found, expected in zip(alignment.transforms, true, strict=True):
        assert abs(found.factor - expected.factor) * W / 2 < 0.15
        assert abs(found.shift - expected.shift) < 0.15
    assert alignment.residual_px < 0.1
    stack = apply_alignment(frames, alignment)
    inner = [f[4:-4, 4:-4].astype(float) for f in stack.frames]
    assert max(np.abs(f - inner[2]).mean() for f in inner) < 4
    assert stack.frames[0].shape[0] < H and stack.common_share > 0.8


def test_an_aligned_stack_keeps_every_pixel() -> None:
    frames = [textured(H, W, seed) for seed in range(3)]
    still = Alignment(1, (Similarity(1 + 0j, 0j),) * 3, 0.0, 1.0)
    stack = apply_alignment(frames, still)
    assert stack.common_share == 1.0
    for before, after in zip(frames, stack.frames, strict=True):
        np.testing.assert_array_equal(before, after)


def test_parallax_is_removed_beyond_a_similarity() -> None:
    picture = cv2.GaussianBlur(textured(H, 2 * W), (0, 0), 1.0)
    ys, xs = np.mgrid[0:H, 0 : 2 * W].astype(np.float32)
    near = (xs > W).astype(np.float32)
    frames = [cv2.remap(picture, xs - 1.5 * (i - 1) * near, ys, cv2.INTER_CUBIC) for i in range(3)]
    still = Alignment(1, (Similarity(1 + 0j, 0j),) * 3, 0.0, 1.0)
    before = apply_alignment(frames, still)
    after = undo_parallax(frames, before, parallax_of(before))

    def apart(stack: list[UInt8Array]) -> float:
        return float(np.abs(stack[0][10:-10, W + 40 : -20].astype(float) - stack[1][10:-10, W + 40 : -20]).mean())

    assert apart(after.frames) < 0.5 * apart(before.frames)
    np.testing.assert_array_equal(after.frames[1], frames[1][after.rows, after.columns])


def test_common_rectangle_is_full_of_true() -> None:
    valid = np.ones((20, 30), dtype=bool)
    valid[:3] = False
    valid[:, 28:] = False
    valid[18, 5] = False
    rows, columns = common_rectangle(valid)
    assert valid[rows, columns].all()
    assert (rows, columns) == (slice(3, 18), slice(0, 28))
    with pytest.raises(RejectedScene, match="no common area"):
        common_rectangle(np.zeros((5, 5), dtype=bool))


def test_frames_of_different_scenes_are_rejected_with_the_correlation() -> None:
    with pytest.raises(RejectedScene, match=r"frames 0 and 1 .*correlation -?0\.\d\d"):
        estimate_alignment([textured(H, W, seed) for seed in range(3)])


def test_too_small_an_overlap_is_rejected() -> None:
    far = Alignment(0, (Similarity(1 + 0j, 0j), Similarity(1 + 0j, complex(0.6 * W, 0))), 0.0, 1.0)
    with pytest.raises(RejectedScene, match="40% of the image"):
        apply_alignment([textured(H, W)] * 2, far)
