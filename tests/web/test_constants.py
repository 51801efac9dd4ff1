"""Every constant that the page imports is defined by the Python module of that name."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from web.gather import HERE, MODULES, constants_of, facts_of, gather

from mddnet.predict.model_dir import open_model_dir

IMPORT = re.compile(r'import \{([^}]*)\} from "\./constants/(\w+)\.js"')
SCRIPTS = sorted(HERE.glob("*.js"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_imported_constants_exist(path: Path) -> None:
    defined = {name.rpartition(".")[2]: name for name in MODULES}
    for names, module in IMPORT.findall(path.read_text(encoding="utf-8")):
        if module == "model":
            found = {*facts_of(open_model_dir("small")), "EXAMPLE"}
        else:
            found = set(constants_of(importlib.import_module(defined[module])))
        wanted = {name.strip() for name in names.split(",") if name.strip()}
        assert wanted <= found, f"{path.name}: {wanted - found} of {module}"


def test_local_imports_exist_and_nothing_is_fetched_from_elsewhere() -> None:
    for path in HERE.glob("*.*"):
        if path.suffix not in {".js", ".html", ".css"}:
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://", text), path.name
        for name in re.findall(r'from "\./(\w+\.js)"', text):
            assert (HERE / name).is_file() or name == "ort.js", f"{path.name} imports {name}"


def test_missing_runtime_is_explained(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="npm install"):
        gather(tmp_path / "page", tmp_path / "node_modules")
