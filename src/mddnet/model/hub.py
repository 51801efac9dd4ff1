"""Models of a Hugging Face hub: ``hf://owner/name``, by the package huggingface_hub (extra ``hub``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mddnet.errors import ModelError
from mddnet.version import __version__

HUB_PREFIX = "hf://"
_NAME = r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?"
_REFERENCE = re.compile(rf"hf://(?P<repo>{_NAME}/{_NAME})(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)


def hub_folder(reference: str, names: Sequence[str]) -> Path:
    """Fetch files of a model from the hub into its cache, or take them from there.

    ``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_OFFLINE`` and a stored token are honoured as everywhere. Without a network
    what was fetched before is used.

    Args:
        reference: ``hf://owner/name``, or ``hf://owner/name@revision`` with a branch, tag or commit.
        names: plain file names; nothing else is fetched.

    Returns:
        A folder of the cache, which holds one revision.

    Raises:
        ModelError: if the reference is malformed, huggingface_hub is not installed, the hub refuses, or it cannot be
            reached and nothing was fetched before.
    """
    parts = _REFERENCE.fullmatch(reference)
    if parts is None or any(part in reference for part in ("..", "--")):
        raise ModelError(f"{reference}: not the name of a model of a hub; expected {HUB_PREFIX}OWNER/NAME[@REVISION]")
    try:
        from huggingface_hub import errors, snapshot_download
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{reference}: fetching models needs the package huggingface_hub: pip install 'mddnet[hub]'"
        ) from error
    revision = parts["revision"]
    try:
        folder = snapshot_download(
            parts["repo"],
            revision=revision,
            allow_patterns=list(names),
            library_name="mddnet",
            library_version=__version__,
        )
    except errors.GatedRepoError as error:
        raise ModelError(f"{reference}: its owner lets in who asked only; ask there, then `hf auth login`") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"{reference}: no such model, or a private one; look at its name, or `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{reference}: no revision {revision!r}; expected a branch, tag or commit of it") from error
    except errors.LocalEntryNotFoundError as error:
        raise ModelError(
            f"{reference}: not fetched before, and the hub cannot be reached (or HF_HUB_OFFLINE is set); go online once"
        ) from error
    except Exception as error:  # network libraries raise many kinds
        raise ModelError(f"{reference}: cannot be fetched ({type(error).__name__}: {error}); try again") from error
    return Path(folder)
