"""Text files as Windows and Excel write them: a byte order mark first, and lines that end with CR LF."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import numpy as np
import pytest

from mddnet.captures.focal_stack import read_focal_stack
from mddnet.captures.manifest import manifest_rows
from mddnet.config import load_recipe
from mddnet.data.split import read_split
from mddnet.errors import CaptureError
from mddnet.io.json_fields import read_json_object

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "small.toml"


def as_windows_writes(path: Path, text: str) -> Path:
    """The text with a byte order mark and CR LF."""
    path.write_bytes(codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode())
    return path


def test_split(tmp_path: Path) -> None:
    assert read_split(as_windows_writes(tmp_path / "split.csv", "place,split\nattic,train\ncafé,dev\n")) == {
        "attic": "train",
        "café": "dev",
    }


def test_manifest(tmp_path: Path) -> None:
    as_windows_writes(tmp_path / "manifest.csv", 'file,place\n"a\u2028b\x0c.png",attic\n')
    rows = [row for _, row in manifest_rows(tmp_path, ("file", "place"))]
    assert rows == [{"file": "a\u2028b\x0c.png", "place": "attic"}]


def test_json(tmp_path: Path) -> None:
    assert read_json_object(as_windows_writes(tmp_path / "a.json", '{"kind":\n"rig"}')) == {"kind": "rig"}
    (tmp_path / "b.json").write_bytes(codecs.BOM_UTF8)
    with pytest.raises(CaptureError, match=r"b\.json: not readable"):
        read_json_object(tmp_path / "b.json")


def test_focal_stack(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from tests.support.made_focal_stack import write_made_stack

    folder = write_made_stack(tmp_path / "slabs", [np.full((40, 60, 3), 90, np.uint8)] * 3)
    path = folder / "capture.json"
    before = read_focal_stack(folder)
    as_windows_writes(path, json.dumps(json.loads(path.read_text(encoding="utf-8")), indent=1))
    assert read_focal_stack(folder) == before


def test_recipe(tmp_path: Path) -> None:
    changed = as_windows_writes(tmp_path / "small.toml", RECIPE.read_text(encoding="utf-8"))
    assert load_recipe(changed) == load_recipe(RECIPE)
