"""The API for scripts; that for several photos is in ``batch_tab.py``. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from mddnet.demo.blur_edit import refocused
from mddnet.demo.controls import ONE_AT_A_TIME, with_page_errors
from mddnet.demo.html import stack_facts
from mddnet.demo.jobs import ArchiveContents, Jobs
from mddnet.demo.lens_form import FIELDS, TypedLens, lens_of_form
from mddnet.demo.stack_tab import lens_of_pair, lens_of_stack, paths_of_pair
from mddnet.errors import MddnetError


def stateless_api(jobs: Jobs) -> None:
    """Create hidden endpoints, which are called with files and numbers."""

    def number(label: str) -> gr.Number:
        return gr.Number(None, visible=False, label=label)

    def file(label: str, count: Any = "single") -> gr.File:
        return gr.File(visible=False, label=label, file_count=count)

    def measured(paths: list[Path], typed: tuple[Any, Any]) -> tuple[str, Image.Image, str]:
        view, archive = jobs.stack(paths, *typed)
        return stack_facts(view), Image.fromarray(view.sharp.pixels), str(archive)

    def predict(
        path: str | None, focal_mm: float | None, f_number: float | None, pixel_um: float | None, focus_m: float | None
    ) -> tuple[dict[str, Any], str]:
        infinite = focus_m == math.inf
        given = lens_of_form(focal_mm, f_number, pixel_um, None if infinite else focus_m, infinite)
        target, written = jobs.archive(_given(path), TypedLens(given), ArchiveContents())
        return written, str(target)

    def magnify(path: str | None, times: float) -> Image.Image:
        return Image.fromarray(refocused(jobs.maps(_given(path)), times))

    def stack(
        paths: list[str] | None,
        focal_mm: float | None = None,
        f_number: float | None = None,
        pixel_um: float | None = None,
        camera: str | None = None,
        focus_m: str | None = None,
    ) -> tuple[str, Image.Image, str]:
        typed = lens_of_stack(focal_mm, f_number, pixel_um, camera, focus_m)
        return measured([Path(path) for path in paths or []], typed)

    def fuse(
        first: str | None,
        second: str | None,
        focal_mm: float | None = None,
        f_number: float | None = None,
        pixel_um: float | None = None,
        camera: str | None = None,
        focus_m_first: float | None = None,
        infinity_first: bool = False,
        focus_m_second: float | None = None,
        infinity_second: bool = False,
    ) -> tuple[str, Image.Image, str]:
        distances = (focus_m_first, infinity_first, focus_m_second, infinity_second)
        typed = lens_of_pair(focal_mm, f_number, pixel_um, camera, *distances)
        return measured(paths_of_pair(first, second), typed)

    def add(function: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
        button = gr.Button(visible=False)
        button.click(with_page_errors(function), inputs, outputs, api_name=function.__name__, **ONE_AT_A_TIME)

    def facts() -> list[Any]:
        return [*(number(label) for label in FIELDS[:3]), gr.Textbox(None, visible=False, label="camera")]

    archive, picture = file("ZIP"), gr.Image(visible=False, label="picture", format="png")
    text = gr.Textbox(visible=False, label="text")
    distances = [
        part
        for which in ("first", "second")
        for part in (number(f"{FIELDS[3]}, {which}"), gr.Checkbox(False, visible=False, label=f"infinity, {which}"))
    ]
    add(predict, [file("photo"), *map(number, FIELDS)], [gr.JSON(visible=False, label="facts"), archive])
    add(magnify, [file("photo"), gr.Number(2, visible=False, label="factor")], [picture])
    focus = gr.Textbox(None, visible=False, label="focus distances, m")
    add(stack, [file("photos", "multiple"), *facts(), focus], [text, picture, archive])
    add(fuse, [file("first"), file("second"), *facts(), *distances], [text, picture, archive])


def _given(path: str | None) -> Path:
    if path is None:
        raise MddnetError("no photo given; expected one")
    return Path(path)
