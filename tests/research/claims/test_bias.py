"""Signed error by true CoC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from research.claims.bias import bias_by_size, biases, main
from research.claims.measure import Estimate
from research.claims.run import all_scenes
from tests.support.made_scenes import make_scene_root

from mddnet.types import UInt8Array


def test_bias_values() -> None:
    """Blur of 1 px is predicted as 2, of 10 px as 7; 3 px has too few pixels, and one is unknown."""
    true = np.concatenate([np.full(200, 1.0), np.full(150, 10.0), np.full(99, 3.0), [np.nan]]).astype(np.float32)
    found = np.concatenate([np.full(200, 2.0), np.full(150, 7.0), np.full(99, 3.0), [50.0]]).astype(np.float32)
    by_size = bias_by_size(found[None], true[None])
    assert by_size[0] == pytest.approx(1.0) and by_size[3] == pytest.approx(-3.0)
    assert np.isnan(by_size[1]) and np.isnan(by_size[2]) and np.isnan(by_size[4])


class Constant:
    """Predicts 5 px everywhere."""

    def estimate(self, photo: UInt8Array, /) -> Estimate:
        return Estimate(defocus_px=np.full(photo.shape[:2], 5.0, np.float32))


@pytest.mark.parametrize(
    ("run", "message"), [("depth-0", "depth-0: it has no defocus map"), ("full", "full: no such run")]
)
def test_unusable_run_is_refused(run: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--scenes", "s", "--data", "d", "--work", "w", "-o", "bias.md", run])
    assert message in capsys.readouterr().err


def test_bias_of_a_constant(tmp_path: Path) -> None:
    found = np.array(biases(Constant(), all_scenes(*make_scene_root(tmp_path / "scenes"))))
    known = np.isfinite(found)
    assert known.sum() >= 2
    lows, highs = np.array([0.0, 2.0, 4.0, 8.0, 16.0]), np.array([2.0, 4.0, 8.0, 16.0, np.inf])
    assert (found <= 5.0 - lows)[known].all() and (found >= 5.0 - highs)[known].all()
    assert (np.diff(found[known]) < 0).all()
