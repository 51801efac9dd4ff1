"""Types and checks of flags that several commands share."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from mddnet.photo.lens_facts import CameraLens
    from mddnet.predict.output import SaveFormat


class WrongUsage(ValueError):
    """A wrong value of a flag, or flags that do not go together; ``mddnet VERB`` exits with code 2."""


def _valid(check: Callable[[Any], bool], expected: str) -> Parameter:
    def validator(_: object, value: object) -> None:
        if isinstance(value, int | float) and not check(value):
            raise ValueError(f"Expected {expected}.")

    return Parameter(validator=validator)


Count = Annotated[int, _valid(lambda value: value >= 1, "at least 1")]
Whole = Annotated[int, _valid(lambda value: value >= 0, "at least 0")]
POSITIVE = _valid(lambda value: 0 < value < 1e6, "a positive number")
Positive = Annotated[float, POSITIVE]
Share = Annotated[float, _valid(lambda value: 0 <= value <= 1, "a share from 0 to 1")]


def _can_be_folder(_: object, path: Path | None) -> None:
    """ValueError for a path that is neither a folder nor a name for a new one."""
    if path is None:
        return
    try:
        places = (path, *path.absolute().parents)
    except FileNotFoundError:
        raise ValueError("the current folder was removed; change to another.") from None
    for place in places:
        try:
            mode = os.stat(place).st_mode
        except (FileNotFoundError, NotADirectoryError):
            if place.is_symlink():
                raise ValueError(f"{place}: a broken symbolic link; expected a folder.") from None
            continue
        except OSError as error:
            raise ValueError(f"{place}: {str(error.strerror).lower()}; expected a folder.") from error
        if not stat.S_ISDIR(mode):
            raise ValueError(f"{place}: a file; expected a folder.")
        return


def _can_be_file(_: object, path: Path | None) -> None:
    """ValueError for a path that is neither a file nor a name for a new one."""
    if path is None:
        return
    _can_be_folder(_, path.parent)
    if path.is_dir():
        raise ValueError(f"{path}: a folder; expected a file.")


def _can_be_model(_: object, path: Path) -> None:
    """ValueError for a path that is neither for a folder nor, if it ends in .zip, for a file."""
    (_can_be_file if path.suffix.lower() == ".zip" else _can_be_folder)(_, path)


File = Annotated[Path, Parameter(validator=_can_be_file)]
OutFile = Annotated[Path, Parameter(name=["--out", "-o"], validator=_can_be_file)]
OutModel = Annotated[Path, Parameter(name=["--out", "-o"], validator=_can_be_model)]
OutFolder = Annotated[Path, Parameter(name=["--out", "-o"], validator=_can_be_folder)]
Jobs = Annotated[Count, Parameter(name=["--jobs", "-j"])]
Flag = Annotated[bool, Parameter(negative="")]
"""Without a --no-... form."""
Port = Annotated[int, _valid(lambda value: 0 <= value <= 65535, "0 to 65535")]


def _is_split(_: object, path: Path | None) -> None:
    if path is not None and not path.is_file():
        raise ValueError("No such file; expected a CSV file with place,split.")


def _are_kinds(_: object, names: Sequence[str] | None) -> None:
    from mddnet.kinds import KINDS  # imported here to keep --help fast

    unknown = next((name for name in names or () if name not in KINDS), None)
    if unknown is not None:
        raise ValueError(f"{unknown}: unknown kind of capture; expected one of {', '.join(KINDS)}.")


SplitFile = Annotated[Path, Parameter(validator=_is_split)]
KindNames = Annotated[list[str], Parameter(negative="", validator=_are_kinds)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LensFlags:
    """Facts of the lens.

    Attributes:
        focal_mm: Focal length in millimetres; replaces EXIF.
        f_number: F-number; replaces EXIF.
        pixel_um: Pixel pitch of the photo, in micrometres; replaces EXIF.
        camera: Camera by its EXIF model, such as "Canon EOS 600D": gives the pixel pitch instead of --pixel-um.
        sensor: Size of the camera's sensor in millimetres, such as 36x24: gives the pixel pitch instead of --pixel-um.
    """

    focal_mm: float | None = None
    f_number: float | None = None
    pixel_um: float | None = None
    camera: str | None = None
    sensor: str | None = None

    def lens(self, focus_m: float | None = None) -> CameraLens:
        """These facts; WrongUsage for a wrong number, an unknown camera or sensor, or a pixel pitch given twice."""
        from mddnet.errors import MddnetError
        from mddnet.photo.lens_facts import CameraLens
        from mddnet.photo.sensor_table import pitch_of_sensor

        given = {"--camera": self.camera, "--sensor": self.sensor, "--pixel-um": self.pixel_um}
        names = [name for name, value in given.items() if value is not None]
        if len(names) > 1:
            raise WrongUsage(f"{' and '.join(names)}: expected one of them, since each gives the pixel pitch")
        choice = self.camera if self.sensor is None else self.sensor
        try:
            if choice is not None:
                pitch_of_sensor(choice, 6000, 4000)
            return CameraLens(self.focal_mm, self.f_number, self.pixel_um, focus_m, choice)
        except MddnetError as error:
            raise WrongUsage(f"{names[0]}: {error}") from error
        except ValueError as error:
            raise WrongUsage(str(error)) from error


NO_LENS = LensFlags()


def pixels_of(megapixels: float | None) -> int | None:
    """The value of ``--max-megapixels`` in pixels; None is the default limit."""
    return None if megapixels is None else math.ceil(megapixels * 1e6)


def formats_of_flag(formats: str) -> tuple[SaveFormat, ...]:
    """The named formats; WrongUsage for an unknown one, MddnetError for one whose package is missing."""
    from mddnet.errors import MddnetError
    from mddnet.predict.output import SAVE_FORMATS, formats_of, require_packages

    try:
        named = formats_of(formats)
    except MddnetError as error:
        raise WrongUsage(f"--{error}") from error
    chosen = tuple(name for name in SAVE_FORMATS if name in named)
    require_packages(chosen)
    return chosen
