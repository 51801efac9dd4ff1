"""Comparison of committed result pages with those made anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.compare_tables import differences, main

PAGE = """# Depth, small 0.2.0+{version}

| row | accuracy | CoC error, px | ms |
|---|---|---|---|
| stacks, small 0.2.0+{version}0000 | {accuracy} | {error} | {time} |
| rgbd | .850 | 3.1 (2.9 to 3.3) | 8 |
"""


def folder(root: Path, version: str = "abc1", accuracy: str = ".910", error: str = "2.50", time: str = "20") -> Path:
    root.mkdir()
    page = PAGE.format(version=version, accuracy=accuracy, error=error, time=time)
    (root / "depth.md").write_text(page, encoding="utf-8")
    content = {
        "made": {"version": version},
        "kinds": {"stacks": [float(accuracy)]},
        "seconds": float(time),
        "network_ms": float(time),
    }
    (root / "evaluation.json").write_text(json.dumps(content), encoding="utf-8")
    return root


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return folder(tmp_path / "old")


def test_times_versions_and_rounding_are_no_difference(old: Path, tmp_path: Path) -> None:
    new = folder(tmp_path / "new", version="def2", accuracy=".915", error="2.54", time="90")
    assert differences(old, new) == []
    assert main(old, new) == 0


def test_a_changed_cell_and_its_json_are_named(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = folder(tmp_path / "new", accuracy=".880")
    places = [one.place for one in differences(old, new)]
    assert len(places) == 2
    assert "stacks, small 0.2.0, accuracy" in places[0]
    assert places[1] == "evaluation.json: kinds.stacks.0"
    assert main(old, new) == 1
    assert "0.91 -> 0.88" in capsys.readouterr().out


def test_tolerance_is_the_larger_of_one_hundredth_and_two_percent(old: Path, tmp_path: Path) -> None:
    within, beyond = (folder(tmp_path / name, error=error) for name, error in (("a", "2.545"), ("b", "2.56")))
    assert differences(old, within) == []
    assert len(differences(old, beyond)) == 1


def test_a_missing_row_or_page_is_a_difference(old: Path, tmp_path: Path) -> None:
    new = folder(tmp_path / "new")
    page = new / "depth.md"
    page.write_text("".join(page.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    (new / "evaluation.json").unlink()
    found = differences(old, new)
    assert {(one.place.partition(":")[0], one.new) for one in found} == {
        ("depth.md", "-"),
        ("evaluation.json", "missing"),
    }
