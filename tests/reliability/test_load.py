"""A small form of `make table-load`: memory and time do not grow with the number of photos or of bytes in a store."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.reliability.load import open_store, predict_folder, write_photos, write_store

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")


@pytest.mark.slow
def test_memory_stays_over_a_folder_of_photos(tiny_model: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 220)
    load = predict_folder(tmp_path / "photos", tmp_path / "out", str(tiny_model))
    assert load.photos == 220 and load.growth < 0.1
    assert load.last_ms < 1.5 * load.first_ms


@pytest.mark.slow
def test_a_store_opens_at_once_and_is_not_read_whole(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    split = write_store(tmp_path / "scenes", 300)
    load = open_store(tmp_path / "scenes", split, batches=3)
    assert load.scenes == 300
    assert load.open_processor_s < 1.0
    assert load.read_mib < load.size_mib / 4
