"""What each machine of a cluster does with a photo, carried out here: the files are those of ``mddnet predict``.

tests/test_cluster.py does the same on a Ray cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mddnet.cli.main import main


def here(address: str, function: Callable[[Any], Any], tasks: Iterable[Any], *_: object, **__: object) -> Iterator[Any]:
    """In the place of a cluster, the last input first."""
    return (function(task) for task in reversed(list(tasks)))


def test_files_of_dead_machines_are_removed(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, photo = tmp_path / "out", tmp_path / "cup.png"
    out.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)).save(photo)
    parts = [out / f".cup.inv_depth.tiff.{name}.part" for name in ("0123456789ab", "ba9876543210")]
    parts[0].write_bytes(b"of a machine that died in an earlier run")

    def dying(address: str, function: Callable[[Any], Any], tasks: Iterable[Any], *_: object, **__: object) -> Any:
        assert not parts[0].exists()
        yield from map(function, tasks)
        parts[1].write_bytes(b"of one that died in this run")

    monkeypatch.setattr("mddnet.cluster.on_ray", dying)
    assert main(["predict", str(photo), "--model", str(tiny_model), "-o", str(out), "--ray", "auto"]) == 0
    assert not list(out.glob(".*.part")) and (out / "cup.inv_depth.tiff").is_file()


def test_files_do_not_depend_on_the_order_in_which_photos_are_done(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, name in enumerate(("a/cup.png", "b/cup.png", "a/cut.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (96, 128, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "a/cut.png").write_bytes((tmp_path / "a/cup.png").read_bytes()[:1000])
    monkeypatch.setattr("mddnet.cluster.on_ray", here)
    command = ["predict", str(tmp_path / "a"), str(tmp_path / "b"), "--model", str(tiny_model), "--threads", "1", "-o"]
    assert main([*command, str(tmp_path / "local")]) == 1
    assert main([*command, str(tmp_path / "out"), "--ray", "auto"]) == 1
    assert capsys.readouterr().err.count("cut.png") == 2
    local, out = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("local", "out"))
    assert local == out and "cup_2.inv_depth.tiff" in out
    assert main([*command, str(tmp_path / "out"), "--ray", "auto", "--resume"]) == 1
    assert capsys.readouterr().out.count("done before") == 2
