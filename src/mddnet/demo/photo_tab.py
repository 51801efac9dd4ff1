"""The tab for one photo: refocusing, maps, values at a point, and other uses. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from mddnet.demo.blur_edit import MAX_FACTOR, blur_mask, mask_over_photo, refocused
from mddnet.demo.controls import (
    HEAVY,
    LATEST,
    LIGHT,
    QUIET,
    LensFields,
    MapViews,
    compared,
    lens_fields,
    photo_field,
    picture_field,
    slider_files,
    thumbnails,
    with_maps,
    with_page_errors,
)
from mddnet.demo.examples import example_photos, thumbnail
from mddnet.demo.html import facts_html, law_svg, point_cloud_text, point_html
from mddnet.demo.jobs import FACTOR, ArchiveContents, Jobs
from mddnet.demo.lens_form import form_of_lens, lens_of_form
from mddnet.demo.page_maps import HERO_SIDE_PX, PageMaps, Point, points_of, smaller, values_at
from mddnet.demo.pictures import rotated_view
from mddnet.errors import MddnetError
from mddnet.photo.sensor_table import CAMERAS, pitch_of_sensor
from mddnet.predict.output import MAP_FORMATS
from mddnet.types import UInt8Array

RENDER: dict[str, Any] = {"show_progress": "minimal", **LATEST, **HEAVY}
FACTOR_LABEL = "Blur: aperture, times as wide"
FORMAT_NAMES = {f"maps, {name}": name for name in MAP_FORMATS}
SHALLOW, MASK, POINTS = "refocused photo (PNG)", "blur mask (PNG)", "point cloud (PLY and GLB)"
HERO_HELP = (
    "<p class='mdd-small'>Click to focus there. Drag the handle to compare: the photo left, refocused right.</p>"
)
CLOUD_HELP = "<p class='mdd-small'>Drag to rotate, scroll to zoom, Ctrl and drag to move.</p>"


@dataclass(frozen=True, slots=True)
class _Kept:
    """State of a visitor on the server: the maps and the point to focus on, None for the photo's own focus."""

    maps: gr.State
    point: gr.State


@dataclass(frozen=True, slots=True)
class _Stage:
    """The refocused photo with its controls."""

    hero: gr.ImageSlider
    factor: gr.Slider
    own: gr.Button
    point: list[Any]  # text, column and row
    show: gr.Button


def photo_tab(page: gr.Blocks, jobs: Jobs) -> None:
    """Create the tab."""
    kept = _Kept(gr.State(None, time_to_live=jobs.limits.temp_age_s), gr.State(None))
    limits = jobs.limits
    with gr.Row(elem_classes=["mdd-inputs"]):
        with gr.Column(scale=2, min_width=260):
            file = photo_field(f"Your photo, up to {limits.megapixels:g} megapixels", "upload")
        with gr.Column(scale=3, min_width=320):
            examples = _examples(page)
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            hero = compared("Photo | refocused", "hero")
            gr.HTML(HERO_HELP, elem_classes=["mdd-help"])
        with gr.Column(scale=2, min_width=300):
            facts = gr.HTML("<p>Predicting …</p>", elem_id="facts")
            factor = gr.Slider(1, MAX_FACTOR, value=FACTOR, step=0.25, label=FACTOR_LABEL, elem_id="factor")
            own = gr.Button("Focus as in the photo", elem_id="own", size="md")
            point = gr.HTML(point_html(None), elem_id="point")
            fields, apply = _lens_form(kept)
            with gr.Accordion("Point by numbers", open=False, elem_id="numbers"):
                with gr.Row():
                    column = gr.Number(0, label="Column, px", minimum=0, precision=0, min_width=90, elem_id="column")
                    row = gr.Number(0, label="Row, px", minimum=0, precision=0, min_width=90, elem_id="row")
                show = gr.Button("Focus there", size="sm", elem_id="show-values")
    stage = _Stage(hero, factor, own, [point, column, row], show)
    with gr.Tabs(elem_id="work", overflow_behavior="wrap"):
        with gr.Tab("Maps"):
            views = MapViews.create()
            with_line = gr.Checkbox(False, label="Draw the plane of focus as a line", elem_id="line")
        with gr.Tab("Lens law"):
            law = gr.HTML(elem_id="law")
        with gr.Tab("3D") as cloud_tab:
            cloud = _cloud_tab(jobs, kept, cloud_tab)
        with gr.Tab("Blur mask"):
            mask = _mask_tab(kept)
        with gr.Tab("Download"):
            _download_tab(jobs, kept, [factor, mask[0]])
    with_line.input(
        with_maps(lambda maps, line: views.values(jobs, maps, line)), [kept.maps, with_line], views.components, **QUIET
    )
    rendering = _focus_events(jobs, kept, stage, views, law)
    shown = [kept.maps, kept.point, hero, facts, law, point, *views.components]
    emptied = [mask[1], mask[2], *cloud]

    def show_maps(maps: PageMaps, line: bool, made: UInt8Array | None = None) -> list[Any]:
        """The maps, with the photo itself in the place of the refocused one until that is made."""
        photo = smaller(maps, HERO_SIDE_PX).pixels
        texts = [facts_html(maps), law_svg(maps), point_html(None)]
        pictures = slider_files(jobs, photo, photo if made is None else made)
        return [maps, None, pictures, *texts, *views.values(jobs, maps, line), *[None] * len(emptied)]

    def opened(maps: PageMaps, line: bool, made: UInt8Array | None = None) -> list[Any]:
        return [*show_maps(maps, line, made), *form_of_lens(maps.lens), None]

    def example(number: int, times: float, line: bool) -> list[Any]:
        maps, made = jobs.example(list(example_photos())[number])
        return opened(maps, line, made if times == FACTOR else refocused(smaller(maps, HERO_SIDE_PX), times))

    def open_file(path: str, line: bool) -> list[Any]:
        return opened(jobs.maps(Path(path)), line)

    def open_example(times: float, line: bool, event: gr.SelectData) -> list[Any]:
        return example(event.index, times, line)

    def use_lens(maps: PageMaps, line: bool, *typed: Any) -> list[Any]:
        assert maps.path is not None  # photos of the page come from files
        return show_maps(jobs.maps(maps.path, lens_of_form(*typed)), line)

    settings, results = [factor, with_line], [*shown, *emptied]
    form = [*fields.form, fields.sensor]
    on_facts: dict[str, Any] = {"show_progress_on": facts, **HEAVY}
    # The field is emptied first, to be ready for another file even after an error.
    uploaded = gr.State()
    read = file.upload(
        lambda path: (path, None, gr.Gallery(selected_index=None)), file, [uploaded, file, examples], **QUIET
    ).success(with_page_errors(open_file), [uploaded, with_line], [*results, *form], **on_facts)
    lens = apply.click(with_maps(use_lens), [kept.maps, with_line, *fields.form], results, **on_facts)
    for made in (read, lens):
        made.success(*rendering, **RENDER)
    examples.select(with_page_errors(open_example), settings, [*results, *form], **on_facts)
    page.load(with_page_errors(partial(example, 0)), settings, [*results, *form], **on_facts)


def _examples(page: gr.Blocks) -> gr.Gallery:
    """The examples to select from; their pictures are made for every visitor, as old files are removed."""
    examples = thumbnails("Examples", "examples")
    page.load(_thumbnails, None, examples, **QUIET)
    return examples


def _thumbnails() -> list[Any]:
    return [(thumbnail(content()), name) for name, (_, content) in example_photos().items()]


def _lens_form(kept: _Kept) -> tuple[LensFields, gr.Button]:
    with gr.Accordion("Camera and lens, for depth in metres", open=False, elem_id="lens"):
        fields = lens_fields()
        help_text = "From EXIF if the photo has it. 0 or an empty field is unknown. Distances are from the sensor."
        gr.Markdown(help_text, elem_classes=["mdd-small"])
        apply = gr.Button("Use camera and lens", variant="primary", elem_id="apply")

    def pitch_of(maps: PageMaps, choice: str | None, focal_mm: float | None) -> Any:
        """The pitch, and the focal length if it is empty and the camera has only one lens."""
        if choice is None:
            return gr.skip(), gr.skip()
        pitch = pitch_of_sensor(choice, maps.width_px, maps.height_px, focal_mm or None)
        if pitch.pixel_um is None:
            raise MddnetError(f"{pitch.note} Enter the pixel pitch.")
        if pitch.note:
            gr.Info(pitch.note)
        lens_mm = CAMERAS[choice].focal_mm if choice in CAMERAS else None
        return float(f"{pitch.pixel_um:.5g}"), focal_mm or lens_mm

    fields.sensor.input(
        with_maps(pitch_of), [kept.maps, fields.sensor, fields.focal], [fields.pitch, fields.focal], **QUIET
    )
    return fields, apply


def _focus_events(jobs: Jobs, kept: _Kept, stage: _Stage, views: MapViews, law: gr.HTML) -> list[Any]:
    """A click, or a typed point, shows the values there at once, and the refocused photo when it is rendered.

    The result is the function, the inputs and the output of that.
    """

    def values(maps: PageMaps, x_px: float, y_px: float) -> list[Any]:
        found = values_at(maps, x_px, y_px)
        point = ((found.x_px + 0.5) / maps.width_px, (found.y_px + 0.5) / maps.height_px)
        return [point, point_html(found, maps.unit), found.x_px, found.y_px, law_svg(maps, found)]

    def clicked(maps: PageMaps, event: gr.EventData) -> list[Any]:
        x, y = (float(np.clip(getattr(event, axis), 0, 1)) for axis in ("x", "y"))
        return values(maps, x * maps.width_px, y * maps.height_px)

    def render(maps: PageMaps, point: Point | None, times: float) -> tuple[str, str]:
        small = smaller(maps, HERO_SIDE_PX)
        return slider_files(jobs, small.pixels, refocused(small, times, point))

    chosen = [kept.point, *stage.point, law]
    rendering: list[Any] = [with_maps(render), [kept.maps, kept.point, stage.factor], stage.hero]
    typed = with_maps(lambda maps, x_px, y_px: values(maps, x_px or 0, y_px or 0))
    for event in (
        views.pointer.select(with_maps(clicked), kept.maps, chosen, **QUIET),
        stage.show.click(typed, [kept.maps, *stage.point[1:]], chosen, **QUIET),
        stage.own.click(lambda: (None, point_html(None)), None, [kept.point, stage.point[0]], **QUIET),
    ):
        event.success(*rendering, **RENDER)
    stage.factor.change(*rendering, **RENDER)
    return rendering


def _mask_tab(kept: _Kept) -> list[Any]:
    label = "Threshold of the circle of confusion, px of the photo"
    threshold = gr.Slider(0.5, 60, value=4, step=0.5, label=label, elem_id="mask")
    with gr.Row():
        mask = picture_field("Mask, white is blurred: move the slider", "picture-mask")
        masked = picture_field("Photo with the blurred part in grey", "picture-masked")

    def show_mask(maps: PageMaps, from_px: float) -> tuple[Image.Image, Image.Image]:
        pixels = blur_mask(maps, from_px)
        return Image.fromarray(pixels), Image.fromarray(mask_over_photo(maps, pixels))

    threshold.change(with_maps(show_mask), [kept.maps, threshold], [mask, masked], **LATEST, **LIGHT)
    return [threshold, mask, masked]


def _cloud_tab(jobs: Jobs, kept: _Kept, tab: gr.Tab) -> list[Any]:
    show = gr.Button("Show the points", size="sm", elem_id="show-points")
    facts = gr.HTML(elem_id="points-summary")
    cloud = gr.Model3D(
        label="Point cloud: drag to rotate", interactive=False, clear_color=(0.16, 0.16, 0.16, 1.0),
        camera_position=(90, 90, None), height=520, elem_id="points",
    )  # fmt: skip
    gr.HTML(CLOUD_HELP)
    with gr.Accordion("By keyboard, or in a browser without WebGL", open=False, elem_id="still"):
        right = gr.Slider(-60, 60, value=20, step=5, label="Camera to the right, degrees", elem_id="right")
        up = gr.Slider(-60, 60, value=10, step=5, label="Camera up, degrees", elem_id="up")
        still = picture_field("Point cloud from this direction: move the sliders", "picture-cloud")

    def show_points(maps: PageMaps) -> tuple[str, str]:
        path, points = jobs.points(maps)
        return str(path), f"<p>{point_cloud_text(points)}</p>"

    def rotate(maps: PageMaps, right_deg: float, up_deg: float) -> Image.Image:
        return Image.fromarray(rotated_view(points_of(maps), right_deg, up_deg))

    show.click(with_maps(show_points), kept.maps, [cloud, facts], **LIGHT)
    tab.select(
        with_page_errors(lambda maps: (gr.skip(), gr.skip()) if maps is None else show_points(maps)),
        kept.maps, [cloud, facts], **LIGHT,
    )  # fmt: skip
    for slider in (right, up):
        slider.change(with_maps(rotate), [kept.maps, right, up], still, **LATEST, **LIGHT)
    return [cloud, facts, still]


def _download_tab(jobs: Jobs, kept: _Kept, settings: list[Any]) -> None:
    """Create the ZIP; ``settings`` are the factor of the aperture and the threshold of the mask."""
    kinds = gr.CheckboxGroup(
        [*FORMAT_NAMES, SHALLOW, MASK, POINTS], value=[next(iter(FORMAT_NAMES))], label="Contents of the ZIP"
    )
    pack = gr.Button("Create ZIP", variant="primary", elem_id="pack")
    archive = gr.File(label="ZIP", interactive=False, elem_id="archive")

    def make_zip(maps: PageMaps, point: Point | None, kinds: list[str], times: float, from_px: float) -> str:
        assert maps.path is not None  # photos of the page come from files
        wanted = ArchiveContents(
            formats=tuple(name for title, name in FORMAT_NAMES.items() if title in kinds),
            magnification=times if SHALLOW in kinds else None,
            point=point,
            mask_px=from_px if MASK in kinds else None,
            points=POINTS in kinds,
        )
        return str(jobs.archive(maps.path, maps.lens, wanted)[0])

    pack.click(with_maps(make_zip), [kept.maps, kept.point, kinds, *settings], archive, **HEAVY)
