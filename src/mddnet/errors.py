"""The one family of errors that mddnet raises for input it cannot use."""

from __future__ import annotations


class MddnetError(Exception):
    """Input that cannot be used. The message names the file or value, what was expected, and the fix."""


class ImageError(MddnetError):
    """A file that cannot be read as an image."""


class CaptureError(MddnetError):
    """A capture (focal stack, light field, RGB-D, stereo) that is incomplete or contradicts itself."""


class RecipeError(MddnetError):
    """A recipe with an unknown key, a value out of range or a contradiction."""


class ModelError(MddnetError):
    """A model that is missing, damaged, or made by an incompatible version."""


class ClusterError(MddnetError):
    """A cluster that cannot be reached, or whose machines differ."""


class TrainingError(MddnetError):
    """A training run that cannot go on."""


class OutputError(MddnetError, OSError):
    """A folder or file that cannot be written: the disk is full, it is read-only, or somebody else is writing there."""


class RejectedScene(MddnetError):
    """A capture that was read but from which no trustworthy scene can be built; the message is the measured reason."""
