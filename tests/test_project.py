"""The project file and what repeats parts of it agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import mddnet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / file).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def bounds(requirements: list[str]) -> dict[str, str]:
    return dict(re.fullmatch(r"([\w-]+)>=([\w.]+)", requirement).groups() for requirement in requirements)  # type: ignore[union-attr]


def test_the_oldest_versions_tested_are_the_lower_bounds() -> None:
    assert pins("oldest.txt") == bounds(PROJECT["project"]["dependencies"])


def test_nothing_is_pinned_for_users() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for requirements in (PROJECT["project"]["dependencies"], *extras.values()):
        assert all(re.fullmatch(r"mddnet\[\w+\]|[\w-]+>=[\w.]+", requirement) for requirement in requirements)


def test_the_base_install_is_light() -> None:
    heavy = {"torch", "torchvision", "timm", "scipy", "opencv-python-headless", "scikit-image", "onnx"}
    assert not heavy & set(bounds(PROJECT["project"]["dependencies"]))


def test_the_version_stands_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"] and "version" not in PROJECT["project"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", mddnet.__version__)
