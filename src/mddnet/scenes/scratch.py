"""The scratch folder in which scenes and shards are written before they are renamed, for one process at a time."""

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
    """Only one build at a time writes into a folder ``out``; remains of killed builds are removed."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._lock = FolderLock(out, "build")

    def __enter__(self) -> Path:
        """Create ``out``, acquire the lock and return a new scratch folder.

        Raises:
            OutputError: if another build holds the lock, or the folder is not writable.
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
        """Remove the scratch folder and release the lock."""
        self._clear()
        self._lock.__exit__()

    def _clear(self) -> None:
        """Rename and remove scratch folders, including those of killed builds.

        Workers that outlive their build may still write there; after renaming, they cannot move anything into place.
        """
        scratch = self.out / SCRATCH
        with suppress(OSError):  # missing, or it has open files on Windows
            scratch.rename(self.out / f"{SCRATCH}-{secrets.token_hex(6)}")
        shutil.rmtree(scratch, ignore_errors=True)
        for old in self.out.glob(f"{SCRATCH}-*"):
            shutil.rmtree(old, ignore_errors=True)
