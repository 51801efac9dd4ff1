"""The command line as a shell sees it: help, version, exit codes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from mddnet import __version__
from mddnet.cli import main as module
from mddnet.cli.main import VERBS, main
from mddnet.errors import CaptureError


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"mddnet {__version__}"


def test_python_m_mddnet_helps_quickly_without_heavy_imports() -> None:
    code = (
        "import sys\n"
        "from mddnet.cli.main import main\n"
        "assert main(['--help']) == 0\n"
        "assert not {'numpy', 'onnxruntime', 'torch', 'cv2', 'PIL'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
    assert min(_processor_seconds([sys.executable, "-m", "mddnet", "--help"]) for _ in range(3)) < 0.5


def _processor_seconds(command: list[str]) -> float:
    """Processor time of a command: unlike the clock's, it is the same on a busy machine."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict"],
        ["predict", "a.jpg", "--formats", "jpeg"],
        ["predict", "-o", "out"],
        ["predict", "a.jpg", "-o", "out", "--focal-mm", "fifty"],
        ["predict", "a.jpg", "-o", "out", "--colour"],
        ["predict", "a.jpg", "-o", "out", "--focal-mm", "-50"],
        ["predict", "a.jpg", "-o", "out", "--f-number", "nan"],
        ["predict", "a.jpg", "-o", "out", "--threads", "0"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize(("typed", "meant"), [("--verison", "--version"), ("--hlep", "--help"), ("-V", None)])
def test_a_flag_typed_wrong_gets_the_nearest(typed: str, meant: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([typed]) == 2
    said = capsys.readouterr().err
    assert f"unknown option {typed}" in said and (f"did you mean {meant}?" in said or meant is None)


def raising(error: BaseException) -> object:
    def verb() -> int:
        raise error

    return verb


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CaptureError("stack/: no frames"), 1, "mddnet: stack/: no frames"),
        (ModuleNotFoundError("No module named 'torch'", name="torch.nn"), 1, 'pip install "mddnet[train]"'),
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), 1, 'pip install ".[build]"'),
        (OSError(errno.ENOSPC, "No space left on device", "out/x.json"), 1, "out/x.json: no space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 1, "mddnet: out: permission denied; choose"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_failures_of_a_verb(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = module.make_app()
    app.command(raising(error), name="fail")
    monkeypatch.setattr(module, "make_app", lambda: app)
    assert main(["fail"]) == code
    assert message in capsys.readouterr().err


def test_an_unknown_missing_module_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    app = module.make_app()
    app.command(raising(ModuleNotFoundError("No module named 'x'", name="x")), name="fail")
    monkeypatch.setattr(module, "make_app", lambda: app)
    with pytest.raises(ModuleNotFoundError):
        main(["fail"])
