"""Exceptions of mddnet; all derive from :class:`MddnetError`."""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """The command that installs an extra, for messages."""
    return f'pip install "mddnet[{extra}]", or in a checkout: pip install ".[{extra}]"'


class MddnetError(Exception):
    """Input that cannot be used. The message names the file or value, what was expected, and the fix."""


class ImageError(MddnetError):
    """A file that cannot be read as an image."""


class CaptureError(MddnetError):
    """A capture (focal stack, light field, RGB-D, stereo) that is incomplete or inconsistent."""


class RecipeError(MddnetError):
    """A recipe with an unknown key, a value out of range or a contradiction."""


class ModelError(MddnetError):
    """A model that is missing, damaged, or of an incompatible version."""


class DeviceError(MddnetError):
    """A device, such as a GPU, that the installed packages or drivers cannot use."""


class ClusterError(MddnetError):
    """A cluster that cannot be reached, or whose machines have different versions."""


class TrainingError(MddnetError):
    """A training run that cannot continue."""


class OutputError(MddnetError, OSError):
    """A folder or file that cannot be written: disk full, read-only, or locked by another process."""


class RejectedScene(MddnetError):
    """A readable capture from which no reliable scene can be built; the message gives the measured reason."""
