"""The short form of the fuzzing: some cases of every reader, others each time, made smaller where one fails."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

pytest.importorskip("cv2", reason="building needs OpenCV (extra build)")
pytest.importorskip("onnx", reason="making a graph needs the package onnx (extra train)")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.fuzz.batch import CASE, TARGETS, Case, prepare, try_case
from tests.support.fuzz.target import PIXELS

from mddnet.photo.samples import LIMIT_VARIABLE

CASES = 15
LIMIT_S = 30.0
"""A machine with other things to do is no find."""


@pytest.fixture(autouse=True)
def pixel_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, str(PIXELS / 1e6))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_and_malicious_files_are_refused_or_read(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    if target.lacks:
        pytest.skip(f"needs {', '.join(target.lacks)}")
    valid = prepare(target, tmp_path)
    case = Case(tmp_path / CASE, valid)
    assert try_case(target, case.folder, LIMIT_S) == (False, None), "the valid files are not read"

    cases = target.cases(valid)

    @settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.randoms(use_true_random=False))
    def each(random: Random) -> None:
        case.put(cases.draw(random))
        _, find = try_case(target, case.folder, LIMIT_S)
        assert find is None, f"{find.kind}\n{find.words}"

    each()
