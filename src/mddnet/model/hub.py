"""Download models from the Hugging Face Hub: ``hf://owner/name`` (package huggingface_hub, extra ``hub``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mddnet.errors import ModelError, install_hint
from mddnet.version import __version__

HUB_PREFIX = "hf://"
_NAME = r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?"
_REFERENCE = re.compile(rf"hf://(?P<repo>{_NAME}/{_NAME})(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)


def hub_folder(reference: str, names: Sequence[str]) -> Path:
    """Download files of a model into the hub's cache, and return the folder there; without a network, use the cache.

    The reference is ``hf://owner/name``, or ``hf://owner/name@revision`` with a branch, tag or commit. ``HF_ENDPOINT``,
    ``HF_HOME``, ``HF_HUB_OFFLINE`` and a stored token work as usual. ModelError if the reference is malformed,
    huggingface_hub is not installed, the hub refuses, or it cannot be reached and the model is not cached.
    """
    parts = _REFERENCE.fullmatch(reference)
    if parts is None or any(part in reference for part in ("..", "--")):
        raise ModelError(f"{reference}: not the name of a model on the hub; expected {HUB_PREFIX}OWNER/NAME[@REVISION]")
    try:
        from huggingface_hub import errors, snapshot_download
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{reference}: downloading models needs the package huggingface_hub: {install_hint('hub')}"
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
    except Exception as error:  # network libraries raise many kinds
        reasons = {
            errors.GatedRepoError: "access is restricted by its owner; request it there, then `hf auth login`",
            errors.RepositoryNotFoundError: "no such model, or a private one; check its name, or `hf auth login`",
            errors.RevisionNotFoundError: f"no revision {revision!r}; expected a branch, tag or commit of it",
            errors.LocalEntryNotFoundError: "not in the cache, and the hub cannot be reached (or HF_HUB_OFFLINE is "
            "set); go online once",
        }
        other = f"cannot be downloaded ({type(error).__name__}: {error}); try again"
        reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), other)
        raise ModelError(f"{reference}: {reason}") from error
    return Path(folder)
