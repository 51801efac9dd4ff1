"""Pydantic models of the files that describe captures; untrusted files lead to one class of error.

Python's JSON allows NaN, Infinity and integers beyond the range of floats. Every check raises ValueError with the
expectation; :func:`parse` adds the file, the field and the value. A missing field counts as null.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from mddnet.errors import CaptureError
from mddnet.io.json_fields import (
    display,
    is_number,
    is_plain_name,
    is_writable_text,
    named_file,
    named_files,
    read_json_object,
)
from mddnet.photo.reader import read_capture_photo
from mddnet.types import UInt8Array


class Description(BaseModel):
    """A JSON object; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _missing_is_null(cls, data: Any) -> Any:
        needed = [field.alias or name for name, field in cls.model_fields.items() if field.is_required()]
        if not isinstance(data, dict):
            raise ValueError(f"an object with {', '.join(needed)}")
        return dict.fromkeys(needed) | data


Model = TypeVar("Model", bound=Description)
Capture = TypeVar("Capture", bound="CaptureDescription")


def parse(model: type[Model], path: Path, data: object, within: str = "") -> Model:
    """Validate data in a file (``within`` a field) as a ``model``; CaptureError names file, field and value."""
    try:
        return model.model_validate(data, context=path)
    except ValidationError as error:
        raise CaptureError(f"{path}: {_message(error, within, model.model_fields)}") from error


def _message(error: ValidationError, within: str, known: Iterable[str]) -> str:
    first = error.errors(include_url=False)[0]
    field = within
    for part in first["loc"]:
        field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else part
    context = first.get("ctx", {})
    if first["type"] == "literal_error":
        allowed = context["expected"].replace("'", "").replace(" or ", ", ")
        expected = f"one of {allowed}" if "," in allowed else f'"{allowed}"'
    elif first["type"] == "extra_forbidden":
        expected = f"none but {', '.join(known)}"
    else:
        expected = str(context.get("error", first["msg"]))
    # Checks across fields state the whole problem.
    return f"{field} is {display(first['input'])}; expected {expected}" if field else expected


def read_capture(model: type[Capture], folder: Path, kind: str) -> Capture:
    """Read and validate ``capture.json``, whose ``kind`` must be as given, and the headers of all its images."""
    path = folder / "capture.json"
    data = read_json_object(path, f"expected the JSON description of a capture of kind {kind}")
    if data.get("kind") != kind:
        raise CaptureError(f'{path}: kind is {display(data.get("kind"))}; expected "{kind}"')
    capture = parse(model, path, {**data, "folder": folder})
    assert capture.size  # reads the headers
    return capture


def _text(value: object, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise ValueError("a text" if empty else "a non-empty text")
    if not is_writable_text(value):
        raise ValueError("a text of whole Unicode characters")
    return value


def _scene_name(value: object) -> str:
    """A name that is safe as a folder name."""
    if not is_plain_name(_text(value)) or str(value).startswith("."):
        raise ValueError("a plain name, without slashes or a dot in front")
    return str(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def whole_number(low: int, high: int, what: str) -> PlainValidator:
    """An integer from ``low`` to ``high``; ``what`` describes it in messages."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"{what}, {low} to {high}")
        return value

    return PlainValidator(check)


def number(what: str = "a finite number", above: float | None = None, null: bool = False) -> PlainValidator:
    """A finite number, or null if allowed; ``what`` describes it in messages."""

    def check(value: Any) -> float | None:
        if value is None and null:
            return None
        if not is_number(value) or (above is not None and not value > above):
            raise ValueError(what)
        return float(value)

    return PlainValidator(check)


def numbers(value: object) -> tuple[float, ...]:
    """A list of finite numbers."""
    if not isinstance(value, list):
        raise ValueError("a list of finite numbers")
    for entry in value:
        if not is_number(entry):
            raise ValueError(f"finite numbers; found {display(entry)}")
    return tuple(map(float, value))


def _files(folders: int) -> PlainValidator:
    """Files in the folder of the description or up to ``folders`` levels below it, without repetition."""

    def check(value: object, info: ValidationInfo) -> tuple[Path, ...]:
        return named_files(Path(info.context or ""), value, str(info.field_name), folders)

    return PlainValidator(check)


def _file(value: object, info: ValidationInfo) -> Path:
    return named_file(Path(info.context or ""), value, str(info.field_name))


Text = Annotated[str, PlainValidator(_text)]
AnyText = Annotated[str, PlainValidator(lambda value: _text(value, empty=True))]
SceneName = Annotated[str, PlainValidator(_scene_name)]
Flag = Annotated[bool, PlainValidator(_flag)]
Number = Annotated[float, number()]
NumberOrNull = Annotated[float | None, number(null=True)]
Positive = Annotated[float, number("a number above 0", above=0)]
PositiveOrNull = Annotated[float | None, number("a number above 0", above=0, null=True)]
Numbers = Annotated[tuple[float, ...], PlainValidator(numbers)]
NumbersOrNull = Annotated[
    tuple[float, ...] | None, PlainValidator(lambda value: None if value is None else numbers(value))
]
File = Annotated[Path, PlainValidator(_file)]
Files = Annotated[tuple[Path, ...], _files(0)]
FilesBelow = Annotated[tuple[Path, ...], _files(1)]  # at most one level below


class CaptureDescription(Description):
    """Fields of ``capture.json`` that all kinds share; captures of one location share one part of the split."""

    folder: Path = Field(exclude=True)
    scene: SceneName
    location: Text = Field(alias="place")
    source: Text
    licence: Text
    _noted: dict[str, dict[str, None]] = PrivateAttr(default_factory=dict)  # names of files by what was noted of them

    def read_pixels(self, file: Path, fix: str, *, linear: bool = False, white: float | None = None) -> UInt8Array:
        """Pixels of a photo, (H, W, 3) uint8, as :func:`read_capture_photo` reads it; its notes become remarks."""
        photo = read_capture_photo(file, fix, linear=linear, white=white)
        for note in photo.notes:
            self._noted.setdefault(note, {})[file.name] = None
        return photo.pixels

    def remarks(self) -> tuple[str, ...]:
        """What was noted of the photos read so far."""
        return tuple(
            f"{next(iter(names))}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {note}"
            for note, names in self._noted.items()
        )

    @property
    def path(self) -> Path:
        return self.folder / "capture.json"

    @cached_property
    def size(self) -> tuple[int, int]:
        """(width, height) of every image of the capture, read from the headers."""
        raise NotImplementedError

    @property
    def width(self) -> int:
        return self.size[0]

    @property
    def height(self) -> int:
        return self.size[1]
