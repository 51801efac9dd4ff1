"""The project file and what repeats parts of it agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import mddnet
from tests.support import distribution

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


WHEEL = {f"mddnet-1.dist-info/licenses/{name}" for name in ("LICENSE", "NOTICE", "MODEL_LICENSE.md")}


def test_a_wheel_of_the_package_alone_is_accepted() -> None:
    expected = distribution.package_files()
    assert {"mddnet/py.typed", "mddnet/models/small/model.onnx", "mddnet/models/small/card.md"} <= expected
    assert not list(distribution.wrong_in_wheel(expected | WHEEL, expected))


@pytest.mark.parametrize(
    "stranger",
    ["tests/conftest.py", "research/README.md", "benchmarks/speed.py", "mddnet/models/small/model.safetensors"],
)
def test_a_wheel_with_more_is_refused(stranger: str) -> None:
    expected = distribution.package_files()
    assert [stranger in text for text in distribution.wrong_in_wheel(expected | WHEEL | {stranger}, expected)] == [True]


@pytest.mark.parametrize("lacking", ["mddnet/models/small/model.onnx", "mddnet-1.dist-info/licenses/NOTICE"])
def test_a_wheel_with_less_is_refused(lacking: str) -> None:
    expected = distribution.package_files()
    wrong = list(distribution.wrong_in_wheel((expected | WHEEL) - {lacking}, expected))
    assert len(wrong) == 1 and lacking.rpartition("/")[2] in wrong[0]


def test_an_sdist_has_the_sources_and_nothing_private() -> None:
    expected = distribution.package_files()
    whole = {f"src/{name}" for name in expected} | set(distribution.IN_SDIST)
    assert not list(distribution.wrong_in_sdist(whole, expected))
    private = "work/scenes/rgbd/room/sharp.jpg"
    assert list(distribution.wrong_in_sdist(whole | {private}, expected)) == [f"private: {private}"]
    assert list(distribution.wrong_in_sdist(whole - {"LICENSE"}, expected)) == ["missing: LICENSE"]
