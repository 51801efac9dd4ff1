"""``hf://owner/name`` with a local hub: one download, use of the cache, errors with a fix."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("huggingface_hub", reason="needs the extra hub")

from mddnet.errors import ModelError
from mddnet.model.folder import model_folder

COMMIT = "a" * 40
REPO = "someone/pocket"
SCRIPT = """
import sys
import mddnet
from mddnet.model.folder import model_folder
try:
    for reference in sys.argv[1:]:
        weights = reference.endswith("+weights")
        folder = model_folder(reference.removesuffix("+weights"), weights=weights)
        print(mddnet.load(reference.removesuffix("+weights")).name, *sorted(p.name for p in folder.iterdir()))
except mddnet.MddnetError as error:
    print("refused:", error)
"""


@dataclass
class FakeHub:
    """The part of the hub's protocol for downloading a model; it records the requests.

    Attributes:
        files: what the repository holds.
        requests: path of each file that was sent.
        url: where it listens.
    """

    files: dict[str, bytes]
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        gone = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        if path.startswith("/api/models/someone/gated"):
            return 403, b"{}", {"X-Error-Code": "GatedRepo"}
        if path.startswith(f"/api/models/{REPO}/tree/"):
            listing = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in self.files.items()
            ]
            return 200, json.dumps(listing).encode(), {}
        if path.startswith(f"/api/models/{REPO}"):
            revision = path.removeprefix(f"/api/models/{REPO}").removeprefix("/revision/") or "main"
            if revision not in ("main", COMMIT):
                return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
            siblings = [{"rfilename": name} for name in self.files]
            facts = {"id": REPO, "modelId": REPO, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
            return 200, json.dumps(facts).encode(), {}
        name = path.removeprefix(f"/{REPO}/resolve/{COMMIT}/")
        if name in self.files:
            etag = hashlib.sha1(self.files[name]).hexdigest()
            return 200, self.files[name], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
        return 404, b"{}", gone


@pytest.fixture
def hub(tiny_model: Path) -> Iterator[FakeHub]:
    fake = FakeHub({p.name: p.read_bytes() for p in tiny_model.iterdir()})
    fake.files |= {"model.safetensors": b"weights", "pytorch_model.bin": b"a pickle", "../../escape.txt": b"x"}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            status, body, headers = fake.answer(path)
            if self.command == "GET" and "/resolve/" in path:
                fake.requests.append(path.rpartition("/")[2])
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    server.server_close()


def run(hub: FakeHub, home: Path, *references: str, **environment: str) -> list[str]:
    """Run in a separate process, because huggingface_hub reads its settings on import."""
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "*"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_")) and "proxy" not in k}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, *references],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=kept | settings | environment,
    )
    return result.stdout.splitlines()


@pytest.mark.slow
def test_downloaded_once_and_then_cached(hub: FakeHub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = run(hub, home, f"hf://{REPO}", f"hf://{REPO}@{COMMIT}", f"hf://{REPO}+weights")
    needed = ["card.md", "config.json", "model.onnx"]
    assert first == [f"tiny {' '.join(needed)}"] * 2 + [f"tiny {' '.join([*needed, 'model.safetensors'])}"]
    assert sorted(hub.requests) == [*needed, "model.safetensors"]  # once each, and no pickle
    assert not list(tmp_path.rglob("escape.txt"))
    hub.requests.clear()
    assert run(hub, home, f"hf://{REPO}") == first[2:]
    assert hub.requests == []
    # offline or without a hub, the cache is used; what is not cached is an error
    nowhere = FakeHub({}, url="http://127.0.0.1:9")
    for settings in ({"HF_HUB_OFFLINE": "1"}, {}):
        assert run(nowhere, home, f"hf://{REPO}", **settings) == first[2:]
    (refused,) = run(nowhere, home, "hf://someone/other", HF_HUB_OFFLINE="1")
    assert refused.startswith("refused: hf://someone/other: not in the cache, and the hub cannot be reached")


@pytest.mark.slow
def test_errors_of_the_hub_are_reported(hub: FakeHub, tmp_path: Path) -> None:
    for reference, message in {
        "hf://someone/nothing": "no such model, or a private one",
        f"hf://{REPO}@v9": "no revision 'v9'",
        "hf://someone/gated": "access is restricted by its owner",
    }.items():
        (refused,) = run(hub, tmp_path / "home", reference)
        assert refused.startswith(f"refused: {reference}: {message}"), refused


@pytest.mark.parametrize(
    "reference",
    [
        "hf://",
        "hf://one",
        "hf://a/b/c",
        "hf://../b",
        "hf://a/..",
        "hf://a/b@../x",
        "hf://a/b@",
        "hf:///b",
        "hf://a/b c",
    ],
)
def test_malformed_names_are_refused_before_any_request(reference: str) -> None:
    with pytest.raises(ModelError, match=r"expected hf://OWNER/NAME"):
        model_folder(reference)


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"pip install .mddnet\[hub\]"):
        model_folder("hf://someone/pocket")
