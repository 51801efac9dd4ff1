"""The scratch folder in which scenes and shards are written before they are renamed, for one process at a time."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mddnet.errors import OutputError
from mddnet.io.folder_lock import FolderLock
from mddnet.io.part_file import remove_abandoned, writing_into

SCRATCH = ".building"


@contextmanager
def build_scratch(out: Path) -> Iterator[Path]:
    """A new scratch folder in ``out``, which is created; OutputError if another build is writing there."""
    with ExitStack() as on_exit:
        try:
            with writing_into(out):
                out.mkdir(parents=True, exist_ok=True)
                on_exit.enter_context(FolderLock(out, "build"))
                on_exit.callback(_clear, out)
                _clear(out)
                remove_abandoned(out)
                (out / SCRATCH).mkdir(exist_ok=True)
                scratch = Path(tempfile.mkdtemp(dir=out / SCRATCH))
        except OSError as error:
            raise OutputError(f"{out}: cannot build there ({error}); choose another folder") from error
        yield scratch


def _clear(out: Path) -> None:
    """Rename and remove scratch folders, including those of killed builds.

    Workers that outlive their build may still write there; after renaming, they cannot move anything into place.
    """
    scratch = out / SCRATCH
    with suppress(OSError):  # missing, or it has open files on Windows
        scratch.rename(out / f"{SCRATCH}-{secrets.token_hex(6)}")
    shutil.rmtree(scratch, ignore_errors=True)
    for old in out.glob(f"{SCRATCH}-*"):
        shutil.rmtree(old, ignore_errors=True)
