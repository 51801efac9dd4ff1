"""The tab for several photos of anything. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from mddnet.demo.controls import ONE_AT_A_TIME, lens_fields, photo_field, typed_lenses, with_page_errors
from mddnet.demo.jobs import Jobs
from mddnet.predict.output import MAP_FORMATS

LENS_TITLE = "Camera and lens, for depth in metres; 0 or an empty field is read from EXIF"


def batch_tab(jobs: Jobs) -> None:
    """Create the tab."""
    limits = jobs.limits
    gr.Markdown(
        f"Photos of anything, each on its own: at most {limits.batch_files} with {limits.batch_megapixels:g} "
        "megapixels together. The result is one ZIP."
    )
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
