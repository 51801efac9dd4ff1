"""The tabs for two and for several photos, and the API for scripts. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from mddnet.demo.blur_edit import magnified
from mddnet.demo.controls import ONE_AT_A_TIME, lens_fields, photo_field, picture_field, typed_lenses, with_page_errors
from mddnet.demo.html import facts_html, scale_html
from mddnet.demo.jobs import ArchiveContents, Jobs
from mddnet.demo.lens_form import FIELDS, TypedLens, lens_of_form
from mddnet.demo.page_maps import PAGE_SIDE_PX, page_maps
from mddnet.demo.pictures import panels
from mddnet.errors import MddnetError
from mddnet.predict.output import MAP_FORMATS

LENS_TITLE = "Lens facts; 0 or an empty field is read from EXIF. Distances are measured from the sensor"


def two_photos(jobs: Jobs) -> None:
    """Create the tab for two photos of one scene."""
    gr.Markdown("Two photos of one scene from one viewpoint, one focused near and one far.")
    with gr.Row():
        first = photo_field("First photo", "first", 120)
        second = photo_field("Second photo", "second", 120)
    with gr.Accordion(LENS_TITLE, open=False, elem_id="pair-lens"):
        fields = lens_fields("pair-", ("Focus distance of the first", "Focus distance of the second"))
    go = gr.Button("Fuse", variant="primary", elem_id="fuse")
    summary = gr.HTML(elem_id="pair-summary")
    sharp = picture_field("Fused picture, sharp near and far", "picture-fused")
    maps, scales = [], []
    for i, what in enumerate(("Depth map", "Signed defocus map")):
        with gr.Row():
            for which in ("first", "second"):
                with gr.Column(min_width=260):
                    maps.append(picture_field(f"{what}, {which} photo", f"picture-{which}-{i}"))
                    scales.append(gr.HTML())
    archive = gr.File(label="ZIP of all maps and the fused picture", interactive=False)

    def fuse(
        first_path: str | None,
        second_path: str | None,
        focal_mm: float | None = None,
        f_number: float | None = None,
        pixel_um: float | None = None,
        camera: str | None = None,
        focus_m_first: float | None = None,
        infinity_first: bool = False,
        focus_m_second: float | None = None,
        infinity_second: bool = False,
    ) -> list[Any]:
        if first_path is None or second_path is None:
            raise MddnetError("one photo is missing; upload two")
        distances = (focus_m_first, infinity_first, focus_m_second, infinity_second)
        first_lens, second_lens = typed_lenses(focal_mm, f_number, pixel_um, camera, *distances)
        pair, path = jobs.pair(Path(first_path), Path(second_path), (first_lens, second_lens))
        both = [page_maps(prediction) for prediction in pair.predictions]
        views = [panels(maps) for maps in both]
        height, width = pair.sharp.shape[:2]
        text = f"<p>{width} × {height} px. {pair.note} Correlation of the two: {pair.correlation:.2f}.</p>"
        for which, maps_of_one in zip(("First", "Second"), both, strict=True):
            text += f"<p><b>{which} photo</b></p>{facts_html(maps_of_one)}"
        order = [(name, i) for name in ("depth", "defocus") for i in range(2)]
        pictures = jobs.picture_files({f"{name}_{i + 1}": views[i][name].pixels for name, i in order})
        sharp_picture = Image.fromarray(pair.sharp)
        sharp_picture.thumbnail((PAGE_SIDE_PX, PAGE_SIDE_PX), Image.Resampling.LANCZOS)
        return [
            text,
            sharp_picture,
            *(pictures[f"{name}_{i + 1}"] for name, i in order),
            str(path),
            *(scale_html(name, views[i][name]) for name, i in order),
        ]

    go.click(
        with_page_errors(fuse), [first, second, *fields.typed], [summary, sharp, *maps, archive, *scales],
        api_name="fuse", **ONE_AT_A_TIME,
    )  # fmt: skip


def several_photos(jobs: Jobs) -> None:
    """Create the tab for several photos."""
    limits = jobs.limits
    gr.Markdown(f"At most {limits.batch_files} photos with {limits.batch_megapixels:g} megapixels together.")
    files = photo_field("Photos", "several", 180, file_count="multiple")
    with gr.Accordion(f"{LENS_TITLE}; for all photos", open=False, elem_id="batch-lens"):
        fields = lens_fields("batch-")
    map_format = gr.Radio(list(MAP_FORMATS), value="tiff", label="Format of the maps")
    go = gr.Button("Predict all", variant="primary", elem_id="predict-all")
    summary = gr.Markdown(elem_id="batch-summary")
    archive = gr.File(label="ZIP", interactive=False, elem_id="batch-archive")

    def batch(
        paths: list[str] | None,
        map_format: Any,
        focal_mm: float | None = None,
        f_number: float | None = None,
        pixel_um: float | None = None,
        camera: str | None = None,
        focus_m: float | None = None,
        infinity: bool = False,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[str, str]:
        (typed,) = typed_lenses(focal_mm, f_number, pixel_um, camera, focus_m, infinity)
        total = len(paths or [])
        result = jobs.batch(
            [Path(path) for path in paths or []],
            map_format,
            lambda done, name: progress((done, total), desc=name, unit="photos"),
            typed,
        )
        count, metric = len(result.done), result.metric
        units = "Depth is in metres." if metric == count else f"Depth is in metres in {metric or 'none'} of them."
        lines = [f"{count} of {total} photos done. {units}", *(f"- {failure}" for failure in result.failures)]
        return "\n".join(lines), str(result.archive)

    go.click(
        with_page_errors(batch), [files, map_format, *fields.typed], [summary, archive],
        api_name="batch", **ONE_AT_A_TIME,
    )  # fmt: skip


def stateless_api(jobs: Jobs) -> None:
    """Create hidden endpoints for scripts, called with a file and numbers."""
    file = gr.File(visible=False, label="photo")
    numbers = [gr.Number(None, visible=False, label=label) for label in FIELDS]
    factor = gr.Number(2, visible=False, label="factor")
    facts, archive = gr.JSON(visible=False, label="facts"), gr.File(visible=False, label="ZIP")
    picture = gr.Image(visible=False, label="picture", format="png")

    def predict(
        path: str | None, focal_mm: float | None, f_number: float | None, pixel_um: float | None, focus_m: float | None
    ) -> tuple[dict[str, Any], str]:
        if path is None:
            raise MddnetError("no photo given; expected one")
        infinite = focus_m == math.inf
        given = lens_of_form(focal_mm, f_number, pixel_um, None if infinite else focus_m, infinite)
        target, written = jobs.archive(Path(path), TypedLens(given), ArchiveContents())
        return written, str(target)

    def magnify(path: str | None, times: float) -> Image.Image:
        if path is None:
            raise MddnetError("no photo given; expected one")
        return Image.fromarray(magnified(jobs.maps(Path(path)), times))

    for function, inputs, outputs in (
        (predict, [file, *numbers], [facts, archive]),
        (magnify, [file, factor], picture),
    ):
        button = gr.Button(visible=False)
        button.click(with_page_errors(function), inputs, outputs, api_name=function.__name__, **ONE_AT_A_TIME)
