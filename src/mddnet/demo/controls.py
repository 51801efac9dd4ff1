"""Controls that the tabs share, and error messages of the page. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from mddnet.demo.lens_form import TypedLens, lens_of_form
from mddnet.demo.upload import UPLOAD_SUFFIXES
from mddnet.errors import MddnetError
from mddnet.photo.sensor_table import SENSOR_CHOICES

ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "photos", "concurrency_limit": 1}
"""For events that predict or render."""


@dataclass(frozen=True, slots=True)
class LensFields:
    """The fields for the lens facts of one tab."""

    focal: gr.Number  # millimetres
    aperture: gr.Number  # f-number
    pitch: gr.Number  # micrometres
    sensor: gr.Dropdown  # camera or sensor format, an alternative to the pitch
    distances: list[gr.Number | gr.Checkbox]  # for each photo: metres from the sensor, and whether it is infinite

    @property
    def typed(self) -> list[Any]:
        """All fields, in the order of the arguments of :func:`typed_lenses`."""
        return [self.focal, self.aperture, self.pitch, self.sensor, *self.distances]

    @property
    def form(self) -> list[Any]:
        """The fields for the values of :func:`~mddnet.demo.lens_form.form_of_lens`."""
        return [self.focal, self.aperture, self.pitch, *self.distances]


def lens_fields(prefix: str = "", distances: tuple[str, ...] = ("Focus distance",)) -> LensFields:
    """Create the fields; ``distances`` are labels of the focus distance of each photo, without the unit."""

    def number(label: str, name: str) -> gr.Number:
        return gr.Number(None, label=label, minimum=0, min_width=110, elem_id=prefix + name)

    with gr.Row():
        focal, aperture = number("Focal length, mm", "focal"), number("f-number", "f-number")
        pitch = number("Pixel pitch, µm", "pitch")
    sensor = gr.Dropdown(
        list(SENSOR_CHOICES),
        value=None,
        label="Camera, or sensor of an uncropped photo: sets the pitch (type to search)",
        elem_id=f"{prefix}sensor",
    )
    fields: list[gr.Number | gr.Checkbox] = []
    for i, label in enumerate(distances):
        end = f"-{i + 1}" if len(distances) > 1 else ""
        with gr.Row():
            fields.append(number(f"{label}, m", f"distance{end}"))
            fields.append(
                gr.Checkbox(False, label=f"{label}: infinity", min_width=110, elem_id=f"{prefix}infinity{end}")
            )
    return LensFields(focal, aperture, pitch, sensor, fields)


def typed_lenses(
    focal_mm: float | None, f_number: float | None, pixel_um: float | None, sensor: str | None, *distances: Any
) -> tuple[TypedLens, ...]:
    """The values of :func:`lens_fields` for each photo; MddnetError with the field for an invalid number."""
    return tuple(
        TypedLens(lens_of_form(focal_mm, f_number, pixel_um, focus_m, bool(at_infinity)), sensor or None)
        for focus_m, at_infinity in zip(distances[::2], distances[1::2], strict=True)
    )


def photo_field(label: str, elem_id: str, height: int, **settings: Any) -> gr.File:
    """A field for uploaded photos."""
    return gr.File(label=label, file_types=list(UPLOAD_SUFFIXES), height=height, elem_id=elem_id, **settings)


def picture_field(label: str, elem_id: str, *classes: str) -> gr.Image:
    """A picture that can be downloaded and enlarged."""
    return gr.Image(
        label=label, alt_text=label, format="png", interactive=False, buttons=["download", "fullscreen"],
        elem_id=elem_id, elem_classes=list(classes),
    )  # fmt: skip


def with_page_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its signature kept for Gradio, with its MddnetErrors as messages of the page."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except MddnetError as error:
            raise gr.Error(str(error), print_exception=False) from None
        except MemoryError:
            raise gr.Error("not enough memory; try a smaller photo", print_exception=False) from None

    return wrapped
