"""Every command and every name that the documents show exists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import mddnet

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CONVENTIONS.md")]
MAKE = shutil.which("make")


def shown() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)


def commands(program: str) -> list[str]:
    """Command lines of a program in code blocks and between back quotes."""
    return sorted(set(re.findall(rf"(?:^[ ]{{0,4}}|`)({program} [^`\n]+)", shown(), flags=re.MULTILINE)))


def mddnet_help(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mddnet", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.parametrize("verb", sorted({command.split()[1] for command in commands("mddnet")}))
def test_every_verb_shown_exists_with_the_flags_shown(verb: str) -> None:
    result = mddnet_help(verb) if verb.startswith("-") else mddnet_help(verb, "--help")
    assert result.returncode == 0, result.stderr
    for command in commands("mddnet"):
        if command.split()[1] == verb:
            for flag in set(re.findall(r"(?<= )--?[a-z][a-z-]*", command)) - {"--help"}:
                assert re.search(rf"(?<![\w-]){flag}(?![\w-])", result.stdout), f"{command}: no {flag}"


@pytest.mark.skipif(MAKE is None, reason="make is not installed")
@pytest.mark.parametrize("command", [*commands("make"), "make help"])
def test_every_make_target_shown_exists(command: str) -> None:
    result = subprocess.run(
        [str(MAKE), "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_readme_begins_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.search(r"```sh[^\n]*\n(.*?)```", text, flags=re.DOTALL)
    assert first is not None and first[1].split("\n")[:2] == ["make predict", "make test"]


def test_every_public_name_shown_exists() -> None:
    names = set(
        re.findall(r"\bmddnet\.([A-Za-z_]+)\b", "\n".join(re.findall(r"```python\n(.*?)```", shown(), re.DOTALL)))
    )
    assert names
    for name in names:
        assert hasattr(mddnet, name) or find_spec(f"mddnet.{name}"), name


def test_every_field_of_a_prediction_shown_exists() -> None:
    fields = set(re.findall(r"\bpred\.([a-z_]+)\b", shown()))
    assert fields
    for field in fields:
        assert hasattr(mddnet.Prediction, field) or field in mddnet.Prediction.__dataclass_fields__, field


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_module_shown_exists() -> None:
    for module in set(re.findall(r"`mddnet\.([a-z_.]+)`", shown())):
        path = ROOT / "src" / "mddnet" / Path(*module.split("."))
        assert path.with_suffix(".py").is_file() or path.is_dir(), module
