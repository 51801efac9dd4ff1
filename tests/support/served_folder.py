"""A folder behind a local HTTP server that can abort transfers."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(slots=True)
class ServedFolder:
    """The server.

    Attributes:
        url: address of the folder, with a slash at its end.
        asked: paths that were asked for, in order.
        break_off: path -> after how many bytes to break off; an entry is used once.
        redirects: path -> where else to look.
    """

    url: str = ""
    asked: list[str] = field(default_factory=list)
    break_off: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments, state: ServedFolder, directory: str) -> None:
        self.state = state
        super().__init__(*arguments, directory=directory)

    def do_GET(self) -> None:
        self.state.asked.append(self.path)
        elsewhere = self.state.redirects.get(self.path)
        if elsewhere is not None:
            self.send_response(302)
            self.send_header("Location", elsewhere)
            self.end_headers()
            return
        limit = self.state.break_off.pop(self.path, None)
        if limit is None:
            super().do_GET()
            return
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:limit])

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def served_folder(folder: Path) -> Iterator[ServedFolder]:
    """Serve a folder on a free port of this machine."""
    state = ServedFolder()
    handler = functools.partial(_Handler, state=state, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
