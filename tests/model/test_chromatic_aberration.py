"""The chromatic-aberration branch: statistics by hand, their invariances, and its sign for blur of a real lens."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from scipy import ndimage  # noqa: E402

from mddnet.config import ModelConfig  # noqa: E402
from mddnet.model.chromatic_aberration import (  # noqa: E402
    BANDS,
    CHROMATIC_CHANNELS,
    STATISTICS,
    ChromaticBranch,
    ChromaticInjection,
    ChromaticStatistics,
)
from mddnet.model.network import MDDNet  # noqa: E402

RED_OVER_GREEN = [0, 2, 4, 6]
BLUE_OVER_GREEN = [1, 3, 5, 7]
"""Rows of the statistics of the smaller window, fine to coarse."""


def _texture(seed: int, size: int = 128) -> np.ndarray:
    """Grey noise with contrast in every band, linear light, (3, size, size)."""
    rng = np.random.default_rng(seed)
    noise = sum(ndimage.gaussian_filter(rng.standard_normal((size, size)), s, mode="wrap") * s for s in (0.5, 1, 2, 4))
    grey = 0.4 + 0.08 * noise / noise.std()
    return np.clip(np.stack([grey] * 3), 0.02, 1.0)


def _statistics(linear: np.ndarray) -> np.ndarray:
    encoded = torch.from_numpy(linear ** (1 / 2.2)).float()[None]
    return ChromaticStatistics()(encoded)[0, :, 8:-8, 8:-8].mean(dim=(1, 2)).numpy()


def test_shapes() -> None:
    cue = ChromaticBranch().eval()(torch.rand(2, 3, 64, 96))
    assert cue.features.shape == (2, CHROMATIC_CHANNELS, 16, 24) and cue.sign_logit.shape == (2, 1, 16, 24)
    assert ChromaticStatistics()(torch.rand(1, 3, 32, 64)).shape == (1, STATISTICS, 8, 16)


def test_doubled_contrast_adds_log_four_in_every_band() -> None:
    linear = _texture(0)
    linear[0] = 0.4 + 2 * (linear[1] - 0.4)
    linear[0] = np.clip(linear[0], 0.001, 1.4)
    got = _statistics(linear)
    assert got[RED_OVER_GREEN] == pytest.approx(np.full(BANDS, np.log(4)), abs=0.05)
    assert got[BLUE_OVER_GREEN] == pytest.approx(np.zeros(BANDS), abs=1e-4)


def test_exposure_changes_the_last_statistic_only() -> None:
    linear = _texture(1)
    changed = _statistics(0.5 * linear) - _statistics(linear)
    per_window = STATISTICS // 2
    level = [per_window - 1, STATISTICS - 1]
    assert changed[level] == pytest.approx([np.log(0.25)] * 2, abs=0.02)
    assert np.abs(np.delete(changed, level)).max() < 0.02


def test_the_sharper_channel_has_more_contrast_in_fine_bands() -> None:
    linear = _texture(2)
    blurred = linear.copy()
    blurred[1] = ndimage.gaussian_filter(linear[1], 1.5)  # green out of focus: behind, by an achromat
    got = _statistics(blurred)
    assert got[RED_OVER_GREEN][0] > 1.0
    assert got[RED_OVER_GREEN][0] > got[RED_OVER_GREEN][1] > got[RED_OVER_GREEN][3] > 0
    assert _statistics(blurred[[1, 0, 2]])[RED_OVER_GREEN][0] < -1.0  # red out of focus: in front


def test_flat_image_has_neutral_statistics() -> None:
    got = _statistics(np.full((3, 128, 128), 0.3))
    assert np.abs(np.delete(got, [STATISTICS // 2 - 1, STATISTICS - 1])).max() < 1e-4


def test_injection_starts_as_identity_and_skips_finest_level() -> None:
    levels = [torch.rand(1, c, 64 // s, 64 // s) for c, s in zip((8, 12, 16), (2, 4, 8), strict=True)]
    injection = ChromaticInjection([8, 12, 16], [2, 4, 8])
    out = injection(levels, torch.rand(1, CHROMATIC_CHANNELS, 16, 16))
    assert all(torch.equal(a, b) for a, b in zip(levels, out, strict=True))
    torch.nn.init.ones_(injection.project[2].weight)
    out = injection(levels, torch.ones(1, CHROMATIC_CHANNELS, 16, 16))
    assert torch.equal(out[0], levels[0])
    assert torch.allclose(out[2], levels[2] + CHROMATIC_CHANNELS)


def test_chromatic_sign_is_added_and_trained_by_its_own_loss_only() -> None:
    network = MDDNet(ModelConfig(pretrained=False)).eval()
    image = torch.rand(1, 3, 64, 64)
    before = network(image)
    with torch.no_grad():
        network.cue.sign.bias += 3.0
    after = network(image)
    rise = after.sign_logit - before.sign_logit
    assert torch.allclose(rise, torch.full_like(rise, 3.0 * network.config.cue_sign_gain), atol=1e-4)
    after.sign_logit.sum().backward()
    assert network.cue.sign.weight.grad is None
    network(image).chromatic_sign_logit.sum().backward()
    assert network.cue.sign.weight.grad is not None


def test_decoders_cannot_override_a_confident_chromatic_sign() -> None:
    network = MDDNet(ModelConfig(pretrained=False)).eval()
    with torch.no_grad():
        network.sign_head.bias.fill_(50.0)
        maps = network(torch.rand(1, 3, 64, 64))
    decoders = maps.sign_logit - network.config.cue_sign_gain * maps.chromatic_sign_logit
    assert torch.allclose(decoders, torch.full_like(decoders, network.config.context_sign_limit), atol=1e-3)


def test_chromatic_branch_can_be_disabled() -> None:
    maps = MDDNet(ModelConfig(pretrained=False, chromatic_cue=False)).eval()(torch.rand(1, 3, 64, 64))
    assert maps.chromatic_sign_logit is None and maps.sign_logit is not None
