"""The folder in which scenes and shards are made before they are renamed into place, for one process at a time."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from mddnet.errors import OutputError
from mddnet.io.folder_lock import FolderLock
from mddnet.io.part_file import remove_abandoned, writing_into

SCRATCH = ".building"


class BuildLock:
    """Only one build at a time writes into a folder; what a killed one left behind is removed."""

    def __init__(self, out: Path) -> None:
        """Prepare; ``out`` is made on entering."""
        self.out = out
        self._lock = FolderLock(out, "build")

    def __enter__(self) -> Path:
        """Take the lock and return a fresh scratch folder.

        Raises:
            OutputError: if another build holds it, or the folder cannot be written.
        """
        try:
            with writing_into(self.out):
                self.out.mkdir(parents=True, exist_ok=True)
                self._lock.__enter__()
                self._clear()
                remove_abandoned(self.out)
                (self.out / SCRATCH).mkdir(exist_ok=True)
                return Path(tempfile.mkdtemp(dir=self.out / SCRATCH))
        except OutputError:
            self._lock.__exit__()
            raise
        except OSError as error:
            self._lock.__exit__()
            raise OutputError(f"{self.out}: cannot build there ({error}); choose another folder") from error

    def __exit__(self, *_: object) -> None:
        """Remove the scratch folder and let the lock go."""
        self._clear()
        self._lock.__exit__()

    def _clear(self) -> None:
        """Remove scratch folders, too, of killed builds: renamed first.

        Workers that outlived their build may still write there; they find nothing any more that they could move into
        place.
        """
        scratch = self.out / SCRATCH
        with suppress(OSError):  # there is none, or Windows renames no folder with open files
            scratch.rename(self.out / f"{SCRATCH}-{secrets.token_hex(6)}")
        shutil.rmtree(scratch, ignore_errors=True)
        for old in self.out.glob(f"{SCRATCH}-*"):
            shutil.rmtree(old, ignore_errors=True)
