"""The table of other methods: each has the numbers that it estimates, on photos that are named."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("cv2")

from benchmarks.baselines import PRIOR, main, measured, page
from tests.support.made_scenes import make_scene

from mddnet.evaluate.baselines import find_baseline

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def scenes_and_split(tmp_path: Path) -> tuple[Path, Path]:
    make_scene(tmp_path / "scenes", "focal_stacks", "garden", "garden", 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "split.csv").write_text("place,split\ngarden,dev\n")
    return tmp_path / "scenes", tmp_path / "data"


def test_a_method_has_the_numbers_that_it_estimates(tmp_path: Path) -> None:
    stacks = measured(*scenes_and_split(tmp_path), "focal_stacks", [find_baseline("laplacian")])
    assert stacks is not None and len(stacks["photos"]) == 4  # and the sharp image
    prior, laplacian = stacks["methods"][PRIOR], stacks["methods"]["laplacian"]
    assert 0 <= prior["depth_ordinal"] <= 1 and not {"defocus_ordinal", "coc_mae_px"} & set(prior)
    assert laplacian["defocus_ordinal"] > 0.5 and "depth_ordinal" not in laplacian
    text = page({"focal_stacks": stacks}, "the command")
    assert "`the command`" in text and f"{laplacian['defocus_ordinal']:.3f}" in text and "nan" not in text


def test_both_files_are_written_and_other_kinds_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.baselines.CLASSICAL", (partial(find_baseline, "tenengrad"),))
    scenes, data = scenes_and_split(tmp_path)
    main(scenes=scenes, data=data, out=tmp_path)
    written = json.loads((tmp_path / "baselines.json").read_text(encoding="utf-8"))["kinds"]
    assert set(written) == {"focal_stacks"} and "tenengrad" in written["focal_stacks"]["methods"]
    assert (tmp_path / "baselines.md").read_text(encoding="utf-8").startswith("# Other methods")
    main(scenes=scenes, data=data, only=["stereo"], out=tmp_path)
    assert json.loads((tmp_path / "baselines.json").read_text(encoding="utf-8"))["kinds"] == written


def test_the_methods_of_the_table_are_measured_on_the_same_photos() -> None:
    ours = json.loads((RESULTS / "small" / "evaluation.json").read_text(encoding="utf-8"))["kinds"]
    others = json.loads((RESULTS / "baselines.json").read_text(encoding="utf-8"))["kinds"]
    assert {"focal_stacks", "light_fields", "rgbd", "stereo"} <= set(others)
    for kind in others:
        assert {f"{row['scene']}/{row['file']}" for row in ours[kind]["frames"]} == set(others[kind]["photos"]), kind
