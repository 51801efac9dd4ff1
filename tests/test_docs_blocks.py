"""Every code block of the documents runs here, in the order of its page, unless the line above it says why not.

A block that cannot run has the comment ``<!-- skip: REASON -->`` on the line above its fence; readers do not see it.
Commands of docs/train-your-own.md are run by tests/train/test_train_your_own.py, on whichever page they are.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mddnet.cli.main import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src/mddnet/models").rglob("*.md")})
TUTORIAL = ROOT / "docs" / "train-your-own.md"
MOST_SKIPPED = 45
"""With more skipped blocks than this, too little of the documents is checked."""
SHELLS = ("sh", "bash", "shell", "console")
COMMAND = re.compile(
    r"^(?:\$ )?(?:mddnet|pip|python3?|make|git|hf|ovc|trtexec|curl|wget|\.venv\S*) [^|:]*$", re.MULTILINE
)
FENCE = re.compile(
    r"(?:^ *<!-- skip: (?P<skip>[^\n]*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```$",
    re.M | re.S,
)
SKIP = re.compile(r"^ *<!-- skip:", re.M)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block.

    Attributes:
        document: its page.
        line: its first line there, counted from 1.
        language: as the fence says, or "".
        skip: why it is not run, or None if it is.
        body: its text.
    """

    document: Path
    line: int
    language: str
    skip: str | None
    body: str

    @property
    def runs(self) -> bool:
        return self.skip is None

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT).as_posix()}:{self.line}"


def blocks_of(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            document,
            text.count("\n", 0, match.start("body")) + 1,
            match["language"],
            match["skip"],
            textwrap.dedent(match["body"]),
        )
        for match in FENCE.finditer(text)
    ]


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]


def commands(block: Block) -> list[str]:
    """Lines of a shell block; a backslash at the end joins two of them."""
    lines = block.body.replace("\\\n", " ").splitlines()
    return [" ".join(line.removeprefix("$ ").split()) for line in lines if line.strip() and line.strip()[0] != "#"]


TUTORIAL_COMMANDS = {line for block in blocks_of(TUTORIAL) if block.language in SHELLS for line in commands(block)}


def test_skipped_blocks_say_why_and_are_few() -> None:
    skipped = [block for block in BLOCKS if not block.runs]
    for block in skipped:
        assert block.skip is not None and len(block.skip) > 5, f"{block}: no reason"
    comments = sum(len(SKIP.findall(document.read_text(encoding="utf-8"))) for document in DOCUMENTS)
    assert comments == len(skipped), "a <!-- skip: REASON --> is not on the line above a fence"
    ran = [block for block in BLOCKS if block.runs and block.language in ("python", *SHELLS)]
    print(f"{len(ran)} code blocks run, {len(skipped)} do not")
    assert len(skipped) <= MOST_SKIPPED, "\n".join(f"{block} {block.skip}" for block in skipped)
    assert len(ran) >= 20


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_stand_in_blocks_that_say_their_language(document: Path) -> None:
    for block in blocks_of(document):
        if block.language in ("", "text"):
            assert not COMMAND.search(block.body), f"{block}: a command in a block without a language; say ```sh"
        if block.language == "json" and block.runs:
            json.loads(block.body)
        if block.language == "toml" and block.runs:
            tomllib.loads(block.body)
    prose = FENCE.sub("", document.read_text(encoding="utf-8"))
    indented = re.search(r"^(?: {4}|\t)(?:mddnet|pip|make|python3?|\.venv\S*) .*$", prose, re.MULTILINE)
    assert indented is None, f"{document.name}: {indented[0] if indented else ''}: a command that is no block; fence it"


def photo(seed: int, width: int = 240) -> Image.Image:
    """Texture that gets blurrier towards the right."""
    rng = np.random.default_rng(seed)
    height = width * 2 // 3
    pixels = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    for left in range(width // 3, width, width // 6):
        strip = Image.fromarray(np.ascontiguousarray(pixels[:, left:]))
        small = strip.resize((max(1, strip.width // 2), height // 2)).resize(strip.size)
        pixels[:, left:] = np.asarray(small)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def graph() -> Any:
    """The small network of the folder my_run, exported once."""
    pytest.importorskip("torch")
    pytest.importorskip("timm")
    pytest.importorskip("onnx")
    import torch

    from mddnet.config import ModelConfig
    from mddnet.model.network import MDDNet
    from tests.support.quick_export import quick_export_graph

    torch.manual_seed(0)
    config = ModelConfig(encoder="resnet10t", pretrained=False, decoder_channels=(16, 16, 16))
    network = MDDNet(config).eval()
    return network, quick_export_graph(network)


@pytest.fixture
def here(tmp_path: Path, tiny_model: Path, graph: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the files lie that the documents speak of; it is the current one."""
    import onnx

    from mddnet.config import Recipe
    from mddnet.model.archive import pack
    from mddnet.model.checkpoint import save_weights
    from mddnet.model.folder import MODEL_FILES
    from tests.support.made_focal_stack import made_stack
    from tests.support.made_scenes import make_scene

    network, exported = graph

    def copy(_: Any) -> onnx.ModelProto:
        other = onnx.ModelProto()
        other.CopyFrom(exported)
        return other

    monkeypatch.setattr("mddnet.export.onnx.export_graph", copy)
    monkeypatch.chdir(tmp_path)
    photo(0).save("cup.jpg")
    for n, name in enumerate(("a.jpg", "b.jpg", "holiday/one.jpg", "holiday/two.png")):
        Path(name).parent.mkdir(exist_ok=True)
        photo(n).save(name)
    stack = made_stack(1.2 * np.arange(9)).frames
    Path("shots").mkdir()
    for n, name in enumerate((*(f"shots/{n}.jpg" for n in range(9)), "near.jpg", "far.jpg")):
        Image.fromarray([*stack, stack[1], stack[7]][n]).save(name)
    for location in ("cup", "garden"):
        folder = make_scene(tmp_path / "scenes", "focal_stacks", location, f"place_{location}", 1)
        shutil.copytree(folder, tmp_path / "work" / "scenes" / "focal_stacks" / location)
    Path("split.csv").write_text("place,split\nplace_cup,train\nplace_garden,dev\n")
    Path("scenes/build.csv").write_text("place,split\nplace_cup,train\nplace_garden,dev\n")
    recipe = Recipe.model_validate({"name": "mine", "model": network.config.model_dump()})
    save_weights(Path("my_run/model"), recipe, network.state_dict(), steps=1)
    Path("my_run/model/model.onnx").write_bytes(exported.SerializeToString())
    Path("my_run/model/card.md").write_text("Trained on nothing.\n")
    shutil.copytree(tiny_model, "my_model")
    with Path("my_model.zip").open("wb") as stream:
        pack(Path("my_model"), stream, MODEL_FILES)
    return tmp_path


def run_shell(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    for line in commands(block):
        if line in TUTORIAL_COMMANDS:
            continue
        words = shlex.split(line, comments=True)
        assert words[0] == "mddnet", f"{block}: {line}: only commands of mddnet can run here"
        code = main(words[1:])
        assert code == 0, f"{block}: {line}: exit code {code}\n{capsys.readouterr().err}"


WITH_CODE = [
    document
    for document in DOCUMENTS
    if document != TUTORIAL and any(b.runs and b.language in ("python", *SHELLS) for b in blocks_of(document))
]


@pytest.mark.slow
@pytest.mark.parametrize("document", WITH_CODE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_block_runs(document: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2")
    names: dict[str, Any] = {}
    for block in blocks_of(document):
        if not block.runs:
            continue
        if block.language == "python":
            # padded, so that a traceback shows the line of the document
            code = compile("\n" * (block.line - 1) + block.body, str(document), "exec")
            exec(code, names)
        elif block.language in SHELLS:
            run_shell(block, capsys)


def test_the_tutorial_has_a_test_of_its_own() -> None:
    own = (ROOT / "tests" / "train" / "test_train_your_own.py").read_text(encoding="utf-8")
    assert TUTORIAL.name in own and len(TUTORIAL_COMMANDS) >= 5
