"""Early stopping, alone and in a run."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from safetensors.torch import load_file  # noqa: E402
from tests.support.made_scenes import make_scene_root  # noqa: E402
from tests.support.tiny_recipe import tiny_recipe  # noqa: E402

from mddnet.config import Recipe  # noqa: E402
from mddnet.errors import RecipeError  # noqa: E402
from mddnet.train import loop  # noqa: E402
from mddnet.train.record import EarlyStopping  # noqa: E402
from mddnet.train.scenes import Scenes, open_run_scenes  # noqa: E402


def _weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor([value])}


def test_best_weights_are_kept_and_patience_ends_the_run() -> None:
    stopping = EarlyStopping(patience=2)
    for step, score in ((0, 0.5), (1, 0.7), (2, 0.6)):
        stopping.measured(step, {"sign": score, "coc_mae_px": 99.0}, _weights(step))
        assert not stopping.stop
    stopping.measured(3, {"sign": 0.7}, _weights(3))  # no better is not better
    assert stopping.stop and (stopping.step, stopping.score) == (1, 0.7)
    assert stopping.state["w"].item() == 1.0
    again = EarlyStopping(patience=2)
    again.restore(stopping.to_json(), stopping.state)
    assert again.stop and (again.step, again.score, again.waited) == (1, 0.7, 2)


def test_score_is_mean_of_available_metrics() -> None:
    stopping = EarlyStopping(patience=1)
    stopping.measured(0, {"depth_ordinal": 0.6, "defocus_ordinal": 0.8}, _weights(0))
    stopping.measured(1, {}, _weights(1))
    assert stopping.score == pytest.approx(0.7) and not stopping.stop
    off = EarlyStopping(patience=0)
    off.measured(0, {"sign": 0.9}, _weights(0))
    assert not off.stop and not off.state and off.to_json() == []


def _recipe(root: Path, split: Path, out: Path) -> Recipe:
    optim = {"steps": 6, "warmup_steps": 0}
    return tiny_recipe(root, split, out, optim=optim, validate_every=1, save_every=1, patience=2)


@pytest.mark.slow
def test_early_stopped_run_keeps_best_weights_and_resumes_identically(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    scores = [0.5, 0.9, 0.8, 0.7, 0.6]  # after 0, 1, 2, ... steps
    seen: list[dict[str, torch.Tensor]] = []

    def measured(network: torch.nn.Module, entries: object) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"sign": scores[len(seen) - 1]}

    monkeypatch.setattr(loop, "quick_validation", measured)
    folder = loop.train(_recipe(root, split, tmp_path / "run"), "cpu")
    assert len(seen) == 4  # stopped after step 3: two in a row were no better than step 1
    kept = load_file(folder / "model.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in seen[1].items())
    assert '"steps": 1' in (folder / "config.json").read_text()
    (folder / "model.safetensors").unlink()  # as if killed before they were written
    loop.train(_recipe(root, split, tmp_path / "run"), "cpu")
    assert len(seen) == 4 and load_file(folder / "model.safetensors").keys() == kept.keys()


def test_patience_without_held_out_scenes_is_refused(tmp_path: Path) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    recipe = _recipe(root, split, tmp_path / "run")
    sides = open_run_scenes(recipe)
    with pytest.raises(RecipeError, match="held out"):
        loop.train(recipe, "cpu", Scenes(sides.train, []))
