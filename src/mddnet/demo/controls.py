"""Controls that the tabs share, and error messages of the page. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from mddnet.demo.html import scale_html
from mddnet.demo.jobs import Jobs
from mddnet.demo.lens_form import TypedLens, lens_of_form
from mddnet.demo.page_maps import PageMaps, packed_maps
from mddnet.demo.pictures import panels
from mddnet.demo.upload import UPLOAD_SUFFIXES
from mddnet.errors import MddnetError
from mddnet.photo.sensor_table import CAMERAS, SENSOR_CHOICES
from mddnet.types import UInt8Array

MAPS = {"depth": "Depth", "defocus": "Signed defocus", "confidence": "Confidence"}
POINTER_HELP = "<p class='mdd-small'>Point at a picture to read its values; click to focus there.</p>"
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "photos", "concurrency_limit": 1}
"""For events that predict or render."""
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
HEAVY: dict[str, Any] = {**ONE_AT_A_TIME, **PRIVATE}
LIGHT: dict[str, Any] = {"concurrency_id": "light", "concurrency_limit": 2, **PRIVATE}
QUIET: dict[str, Any] = {"show_progress": "hidden", **LIGHT}
LATEST: dict[str, Any] = {"trigger_mode": "always_last"}  # for sliders; the keyboard triggers no release event


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

    sensor = gr.Dropdown(
        list(SENSOR_CHOICES),
        value=None,
        label=f"Camera ({len(CAMERAS)} are known; type to search), or sensor of an uncropped photo",
        elem_id=f"{prefix}sensor",
    )
    with gr.Row():
        focal, aperture = number("Focal length, mm", "focal"), number("f-number", "f-number")
        pitch = number("Pixel pitch, µm", "pitch")
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


def photo_field(label: str, elem_id: str, height: int = 116, **settings: Any) -> gr.File:
    """A field for uploaded photos."""
    return gr.File(label=label, file_types=list(UPLOAD_SUFFIXES), height=height, elem_id=elem_id, **settings)


def picture_field(label: str, elem_id: str, *classes: str) -> gr.Image:
    """A picture that can be downloaded and enlarged."""
    return gr.Image(
        label=label, alt_text=label, format="png", interactive=False, buttons=["download", "fullscreen"],
        elem_id=elem_id, elem_classes=list(classes),
    )  # fmt: skip


def compared(label: str, elem_id: str) -> gr.ImageSlider:
    """Two pictures with a slider between them; see ``pointer.js`` for a click on it."""
    return gr.ImageSlider(
        label=label, interactive=False, buttons=["download", "fullscreen"], max_height=560, elem_id=elem_id,
        elem_classes=["mdd-hero"],
    )  # fmt: skip


def thumbnails(label: str, elem_id: str) -> gr.Gallery:
    """A row of small pictures to select from."""
    return gr.Gallery(
        label=label, height=None, allow_preview=False, interactive=False, object_fit="cover", buttons=[],
        elem_id=elem_id, elem_classes=["mdd-thumbs"],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MapViews:
    """Three maps with their scales, and the values under the pointer, which also tells of clicks."""

    components: list[Any]  # for the values of :meth:`values`
    pointer: gr.HTML  # its event ``select`` has x and y as fractions of the photo

    @classmethod
    def create(cls, prefix: str = "") -> MapViews:
        pictures, scales = [], []
        with gr.Row():
            for name, title in MAPS.items():
                with gr.Column(min_width=240):
                    pictures.append(picture_field(title, f"{prefix}picture-{name}", "mdd-map"))
                    scales.append(gr.HTML())
        script = Path(__file__).with_name("pointer.js").read_text(encoding="utf-8")
        pointer = gr.HTML("", html_template=POINTER_HELP, js_on_load=script, elem_id=f"{prefix}pointer")
        return cls([*pictures, *scales, pointer], pointer)

    def values(self, jobs: Jobs, maps: PageMaps | None, with_line: bool = True) -> list[Any]:
        """What the components show; nothing for None."""
        if maps is None:
            return [*[None] * len(MAPS), *[""] * len(MAPS), ""]
        views = panels(maps, with_line)
        files = jobs.picture_files({name: view.pixels for name, view in views.items()})
        return [*(files[name] for name in MAPS), *(scale_html(views[name]) for name in MAPS), packed_maps(maps)]


def slider_files(jobs: Jobs, left: UInt8Array, right: UInt8Array) -> tuple[str, str]:
    """Both pictures of :func:`compared` as files."""
    files = jobs.picture_files({"photo": left, "refocused": right})
    return files["photo"], files["refocused"]


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


def with_maps(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`with_page_errors`, with an error where the first argument, what the page keeps, is missing."""

    @functools.wraps(function)
    def wrapped(kept: Any, *args: Any) -> Any:
        if kept is None:
            raise MddnetError("no photo, or it was removed after an hour; upload it again")
        return function(kept, *args)

    return with_page_errors(wrapped)
