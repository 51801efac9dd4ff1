"""The numbers of README and docs are those of docs/results, and each table is one command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from benchmarks.__main__ import BENCHMARKS, main

from benchmarks import fill_tables

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"


def test_readme_and_docs_have_the_numbers_of_the_result_files() -> None:
    out_of_date = [str(path.relative_to(ROOT)) for path in fill_tables.stale()]
    assert not out_of_date, f"{out_of_date}: run benchmarks/fill_tables.py"
    shown = {match[1] for path in fill_tables.DOCUMENTS for match in fill_tables.BLOCK.findall(path.read_text("utf-8"))}
    assert shown == {path.stem for path in (RESULTS / "templates").glob("*.md")}


def test_another_number_is_noticed() -> None:
    known = fill_tables.numbers()
    assert any(path.name == "README.md" for path in fill_tables.stale({**known, "headline.pairs.near_far_worst": 0.5}))
    with pytest.raises(KeyError, match=r"no\.such"):
        fill_tables.filled("{{no.such|2}}", known)


def test_how_numbers_are_written() -> None:
    known = {"a.b": 0.9371, "c": 2.4753, "d": -0.25, "e": 17.0}
    assert fill_tables.filled("{{a.b|3}} {{c|2}} {{d|1}} {{e|0}} {{a.b|1/}}", known) == ".937 2.48 -.2 17 16"


def test_the_result_files_say_with_what_they_were_made() -> None:
    data = json.loads((RESULTS / "small" / "evaluation.json").read_text(encoding="utf-8"))
    assert set(data["made"]) == {"version", "commit", "machine", "made_at"}
    text = (RESULTS / "small" / "evaluation.md").read_text(encoding="utf-8")
    assert "Made by mddnet" in text and data["made"]["machine"] in text
    assert "Made" in (RESULTS / "ablation.md").read_text(encoding="utf-8").split("##")[0]


def test_markdown_and_json_are_of_one_run() -> None:
    data = json.loads((RESULTS / "small" / "evaluation.json").read_text(encoding="utf-8"))
    text = (RESULTS / "small" / "evaluation.md").read_text(encoding="utf-8")
    macro = data["kinds"]["focal_stacks"]["macro"]
    row = re.search(r"## Focal stacks: depth\n.*?(\| \*\*macro\*\* [^\n]*)", text, flags=re.DOTALL)
    assert row is not None and f" {macro['depth_ordinal']:.3f} | {macro['depth_ordinal_rotated']:.3f} " in row[1]
    assert text.startswith(f"# {data['model']} on the {data['split']} split")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_runs_by_its_name_and_has_a_page(name: str) -> None:
    assert BENCHMARKS[name] and (RESULTS / f"{name}.md").is_file()
    if name in ("depth-prior", "refocus", "sharp"):
        pytest.importorskip("cv2", reason="needs the extra build")
    assert callable(import_module(f"benchmarks.{name.replace('-', '_')}").run)


def test_an_unknown_benchmark_is_wrong_usage() -> None:
    assert main("no-such-table") == 2 and main() == 2


def test_the_check_is_a_command() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "fill_tables.py"), "--check"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
