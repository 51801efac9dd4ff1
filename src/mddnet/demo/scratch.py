"""Temporary files of the page, in one folder, limited in age and size, removed when the page stops."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

JOB_AGE_S = 300.0  # age at which the folder of a job is removed; Gradio copies results into its cache immediately
JOBS_KEPT = 4  # finished jobs whose files stay even if space is short: Gradio may not have copied them yet


class Scratch:
    """A temporary folder of this process, ``root``, which only its owner can read; ``max_*`` limit :meth:`sweep`.

    ``cache`` is Gradio's folder for uploads and results.
    """

    def __init__(self, max_mb: float, max_age_s: float) -> None:
        self._max_bytes = max_mb * 1e6
        self._max_age_s = max_age_s
        self.root = Path(tempfile.mkdtemp(prefix="mddnet-demo-"))
        self.cache = self.root / "cache"
        self.cache.mkdir()
        self._at_work: set[Path] = set()
        self._finished: deque[Path] = deque(maxlen=JOBS_KEPT)

    @contextmanager
    def job(self) -> Iterator[Path]:
        """A new folder for the results of one request, removed after an error; old files are removed first."""
        self.sweep()
        folder = Path(tempfile.mkdtemp(prefix="job-", dir=self.root))
        self._at_work.add(folder)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            self._finished.append(folder)
            self._at_work.discard(folder)

    def sweep(self, now: float | None = None) -> int:
        """Remove files that are too old, then the oldest until the rest fits, and empty folders; return their number.

        Results (ZIP) are removed before uploads, which may belong to a pending request. Files of a running job are not
        removed. ``now`` is in seconds since the epoch.
        """
        now = time.time() if now is None else now
        found: list[tuple[bool, float, int, Path]] = []
        for path in self.root.rglob("*"):
            with suppress(OSError):  # another request may have removed it
                if path.is_file() and not path.is_symlink():
                    found.append((path.suffix != ".zip", path.stat().st_mtime, path.stat().st_size, path))
        total = sum(size for *_, size, _ in found)
        removed = 0
        for _, changed, size, path in sorted(found):
            if not self._at_work.isdisjoint(path.parents):
                continue
            fits = total <= self._max_bytes or any(folder in path.parents for folder in self._finished)
            max_age_s = self._max_age_s if self.cache in path.parents else min(JOB_AGE_S, self._max_age_s)
            if now - changed <= max_age_s and fits:
                continue
            path.unlink(missing_ok=True)
            total -= size
            removed += 1
            if path.parent not in (self.root, self.cache):
                with suppress(OSError):  # other files may be left in it
                    path.parent.rmdir()
        return removed

    def close(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
