"""The commands of docs/train-your-own.md, on three synthetic stacks and with two training steps."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("joblib")
pytest.importorskip("onnx")

from tests.support.made_focal_stack import made_stack
from tests.support.quick_export import quick_export_graph

from mddnet.cli.main import main

DOCUMENT = Path(__file__).parents[2] / "docs" / "train-your-own.md"
SETTINGS = "data.crop=[64,64] data.batch_size=2 data.workers=0 train.threads=1"
LOCATIONS = {"cup": "kitchen", "garden": "garden", "workshop": "workshop"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.slow
def test_commands_of_the_page_make_a_model(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mddnet.export.onnx.export_graph", quick_export_graph)
    written = json.loads(blocks("json")[0])
    frames = made_stack(1.5 * np.arange(len(written["frames"])), 96, 128).frames
    for scene, location in LOCATIONS.items():
        folder = tmp_path / "my_captures" / scene
        folder.mkdir(parents=True)
        # mirrored and turned, so that each is a scene of its own
        turns = list(LOCATIONS).index(scene)
        for name, frame in zip(written["frames"], frames, strict=True):
            Image.fromarray(np.rot90(frame, 2 * (turns // 2))[:, :: 1 - 2 * (turns % 2)]).save(
                folder / name, quality=97
            )
        facts = written | {"scene": scene, "place": location, "aligned": True}
        (folder / "capture.json").write_text(json.dumps(facts))
    commands = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    assert [command[1] for command in commands] == ["build", "train", "train", "predict", "export"]
    for program, *arguments in commands:
        assert program == "mddnet"
        if "-o" in arguments and arguments[0] == "train":
            arguments += ["--steps", "2", *(word for text in SETTINGS.split() for word in ("--set", text))]
        assert main(arguments) == 0, arguments
    said = " ".join(capsys.readouterr().out.split())
    assert "held out: 1 of 3 locations" in said and "same sign" in said
    exec(blocks("python")[0], {})
    assert capsys.readouterr().out.endswith("relative\n")
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        for file in re.findall(r"`(my_run/[\w./]+)`", line):
            assert (tmp_path / file).exists(), file
    assert "CC-BY-4.0" in (tmp_path / "my_run/model/card.md").read_text()
