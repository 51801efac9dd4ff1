"""What can be said on any system of how the package behaves on another: names, text, processes, signals, the wheel."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "mddnet"
SOURCES = sorted(PACKAGE.rglob("*.py"))
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
UNIX_ONLY = {"fcntl", "grp", "posix", "pwd", "resource", "syslog", "termios", "tty"}
WINDOWS_ONLY = {"msvcrt", "winreg", "_winapi"}
UNIX_SIGNALS = {"SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGPIPE"}
UNIX_OS = {"fork", "forkpty", "getuid", "geteuid", "getgid", "mkfifo", "mknod", "nice", "setsid", "sched_getaffinity"}
TEXT_METHODS = {"read_text", "write_text"}


def shipped() -> list[str]:
    """Files below the repository that git knows, or those of the package where there is no git."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    return names or [path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.is_file()]


def test_names_of_files_work_on_every_system() -> None:
    folded: dict[str, str] = {}
    for name in shipped():
        assert folded.setdefault(name.lower(), name) == name, f"{name} and {folded[name.lower()]} differ in case only"
        for part in name.split("/"):
            assert not re.search(r'[<>:"\\|?*\x00-\x1f]|[. ]$', part), f"{name}: Windows cannot have this name"
            assert part.split(".")[0].lower() not in RESERVED, f"{name}: Windows reserves this name"
        assert len(name) < 140, f"{name}: with a folder before it, too long for Windows"


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def given(call: ast.Call) -> set[str | None]:
    return {keyword.arg for keyword in call.keywords}


def mode_of(call: ast.Call, position: int) -> str:
    values = [k.value for k in call.keywords if k.arg == "mode"] + call.args[position : position + 1]
    return str(values[0].value) if values and isinstance(values[0], ast.Constant) else "r"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_text_is_utf8_whatever_the_code_page(path: Path) -> None:
    for call in calls(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{path}:{call.lineno}"
        if isinstance(call.func, ast.Attribute) and call.func.attr in TEXT_METHODS:
            # an encoding that is given by position is the first of read_text, the second of write_text
            position = call.func.attr == "write_text"
            assert "encoding" in given(call) or len(call.args) > position, f"{where}: say encoding='utf-8'"
        if isinstance(call.func, ast.Name) and call.func.id == "open" and "b" not in mode_of(call, 1):
            assert "encoding" in given(call), f"{where}: say encoding='utf-8'"
        of_path = isinstance(call.func, ast.Attribute) and call.func.attr == "open" and len(call.args) <= 1
        if of_path and call.args and isinstance(call.args[0], ast.Constant) and "b" not in str(call.args[0].value):
            assert not re.fullmatch(r"[rwax+t]+", str(call.args[0].value)) or "encoding" in given(call), where
        if given(call) & {"text", "universal_newlines"}:
            assert "encoding" in given(call), f"{where}: output of a program in the system's code page"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_nothing_of_one_system_is_taken_for_granted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    # what is tried, and done without where it fails, may be of one system
    tried = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.Try) for inner in ast.walk(node)}
    for node in (node for node in ast.walk(tree) if id(node) not in tried):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").partition(".")[0]]
        assert not set(names) & (UNIX_ONLY | WINDOWS_ONLY), f"{path}:{node.lineno}: {names} is not on every system"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            guarded = re.search(rf"(?:has|get)attr\({node.value.id}, [\"']{node.attr}[\"']", text) is not None
            unix = (node.value.id == "os" and node.attr in UNIX_OS) or (
                node.value.id == "signal" and node.attr in UNIX_SIGNALS
            )
            assert guarded or not unix, f"{path}:{node.lineno}: {node.value.id}.{node.attr} is not on Windows"
            assert (node.value.id, node.attr) != ("os", "rename"), f"{path}:{node.lineno}: os.replace works on Windows"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not re.match(r"/(?:tmp|dev|proc|usr|etc|home)/", node.value), f"{path}:{node.lineno}: {node.value!r}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_what_is_sent_to_other_processes_can_be_imported_there(path: Path) -> None:
    """On Windows and macOS processes are spawned: a lambda or a function inside another cannot be sent."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for call in calls(tree):
        function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if function in ("submit", "Process", "get_context"):
            sent = [*call.args[:1], *(k.value for k in call.keywords if k.arg == "target")]
            for value in sent:
                assert not isinstance(value, ast.Lambda), f"{path}:{call.lineno}: a lambda cannot be sent"
        if function in ("get_context", "set_start_method"):
            assert not any(isinstance(a, ast.Constant) and a.value == "fork" for a in call.args), path


def test_the_command_is_guarded_for_spawned_processes() -> None:
    """A spawned process imports the main module again; it must not run the command again."""
    assert 'if __name__ == "__main__":' in (PACKAGE / "__main__.py").read_text(encoding="utf-8")


def test_the_wheel_is_for_every_system() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["build-system"]["build-backend"] == "hatchling.build"
    assert "hooks" not in project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "Operating System :: OS Independent" in project["project"]["classifiers"]
    compiled = [path for path in PACKAGE.rglob("*") if path.suffix in (".so", ".pyd", ".dylib", ".pyx", ".c", ".cpp")]
    assert compiled == []
