"""``mddnet demo`` where it does not start."""

from __future__ import annotations

import sys

import pytest

from mddnet.cli.main import main


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "70000"], '"70000" for --port. Expected 0 to 65535'),
        (["--threads", "0"], '"0" for --threads. Expected at least 1'),
        (["--max-megapixels", "0"], "Expected a positive number"),
    ],
)
def test_wrong_usage_fails_fast(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *flags]) == 2
    assert said in capsys.readouterr().err


def test_without_gradio_the_extra_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "mddnet.demo.app", raising=False)
    assert main(["demo"]) == 1
    assert 'pip install "mddnet[demo]"' in capsys.readouterr().err
