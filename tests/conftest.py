"""Fixtures that all tests share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.rig_simulator.rig import Truth

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True, slots=True)
class SmallRig:
    """A simulated capture.

    Attributes:
        folder: the capture folder.
        truth: what the rig cannot know.
    """

    folder: Path
    truth: Truth


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real captures beside the project; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real captures at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def real_formats(shared_data: Path) -> Path:
    """Files of public sets as they are laid out; tests that need them are skipped where they are absent."""
    if not (shared_data / "formats").is_dir():
        pytest.skip(f"no files of public sets at {shared_data / 'formats'}")
    return shared_data / "formats"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose graph obeys the lens law by construction: u is the red channel, u_focus 0.5, kappa 20 px."""
    pytest.importorskip("onnx", reason="making a graph needs the package onnx (extra train)")
    from tests.support.tiny_model import write_tiny_model

    folder = tmp_path_factory.mktemp("model") / "tiny"
    folder.mkdir()
    write_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def small_rig(tmp_path_factory: pytest.TempPathFactory) -> SmallRig:
    """A capture of the simulated rig, and what is true of it."""
    from tests.support.rig_simulator.rig import capture
    from tests.support.rig_simulator.small import SETTINGS, small_scene

    folder = tmp_path_factory.mktemp("rig") / "table"
    return SmallRig(folder, capture(small_scene(), folder, SETTINGS))
