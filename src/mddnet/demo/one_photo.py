"""The tab for one photo: maps, values at a point, and applications. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from mddnet.demo.blur_edit import MAX_FACTOR, blur_mask, magnified, mask_over_photo
from mddnet.demo.controls import ONE_AT_A_TIME, LensFields, lens_fields, photo_field, picture_field, with_page_errors
from mddnet.demo.html import facts_html, law_svg, point_cloud_text, point_html, scale_html
from mddnet.demo.jobs import ArchiveContents, Jobs
from mddnet.demo.lens_form import form_of_lens, lens_of_form
from mddnet.demo.page_maps import PageMaps, packed_maps, points_of, values_at
from mddnet.demo.pictures import panels, rotated_view
from mddnet.demo.upload import KINDS
from mddnet.errors import MddnetError
from mddnet.photo.sensor_table import CAMERAS, pitch_of_sensor
from mddnet.predict.output import MAP_FORMATS
from mddnet.types import Lens

PICTURES = {
    "photo": "Photo, with the plane of focus as a line",
    "depth": "Depth map",
    "defocus": "Signed defocus map",
    "confidence": "Confidence",
}
EXAMPLES = {"Cat": "chelsea.png", "Coffee": "coffee.png"}
"""Photos of scikit-image in the public domain: Chelsea by Stefan van der Walt, coffee by Rachel Michetti (CC0)."""
OWN_FOCUS, POINT_FOCUS = "as in the photo", "through the selected point"
FORMAT_NAMES = {f"maps, {name}": name for name in MAP_FORMATS}
SHALLOW, MASK, POINTS = "shallower depth of field (PNG)", "blur mask (PNG)", "point cloud (PLY and GLB)"
POINTER_HELP = "<p class='mdd-small'>Move the pointer over a picture to see values; click to select a point.</p>"
CLOUD_HELP = "<p class='mdd-small'>Drag to rotate, scroll to zoom, Ctrl and drag to move.</p>"
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
HEAVY: dict[str, Any] = {**ONE_AT_A_TIME, **PRIVATE}
LIGHT: dict[str, Any] = {"concurrency_id": "light", "concurrency_limit": 2, **PRIVATE}
QUIET: dict[str, Any] = {"show_progress": "hidden", **LIGHT}
LATEST: dict[str, Any] = {"trigger_mode": "always_last"}  # for sliders; the keyboard triggers no release event

Point = tuple[int, int]  # column and row in the photo


def find_examples() -> dict[str, Path]:
    """The available example photos, by name, without importing scikit-image."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    return {name: folder / file for name, file in EXAMPLES.items() if (folder / file).is_file()}


@dataclass(frozen=True, slots=True)
class _VisitorState:
    """State of a visitor on the server: the maps and the selected point."""

    maps: gr.State
    point: gr.State


@dataclass(frozen=True, slots=True)
class _MapViews:
    """The components that show the maps."""

    views: list[Any]  # those for the values of :func:`_views`
    facts: gr.HTML
    pointer: gr.HTML
    with_line: gr.Checkbox


def with_maps(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`~mddnet.demo.controls.with_page_errors`, with an error where the first argument, the maps, is missing."""

    @functools.wraps(function)
    def wrapped(maps: PageMaps | None, *args: Any) -> Any:
        if maps is None:
            raise MddnetError("no photo, or it was removed after an hour; upload it again")
        return function(maps, *args)

    return with_page_errors(wrapped)


def one_photo(jobs: Jobs) -> None:
    """Create the tab."""
    state = _VisitorState(gr.State(None, time_to_live=jobs.limits.temp_age_s), gr.State(None))
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            file, fields, apply = _inputs(jobs, state)
        with gr.Column(scale=3, min_width=300):
            shown = _maps_and_point(jobs, state)
    with gr.Tabs(elem_id="work"):
        with gr.Tab("Shallower depth of field"):
            shallow = _depth_of_field_tab(state)
        with gr.Tab("Blur mask"):
            mask = _mask_tab(state)
        with gr.Tab("3D") as cloud_tab:
            cloud = _cloud_tab(jobs, state, cloud_tab)
        with gr.Tab("Download"):
            _download_tab(jobs, state, [*shallow[:2], mask[0]])
    made = [shallow[2], *mask[1:], *cloud]
    results = [state.maps, state.point, *shown.views, shown.pointer]

    def open_file(path: str | None) -> list[Any]:
        maps = None if path is None else jobs.maps(Path(path))
        values = form_of_lens(Lens() if maps is None else maps.lens)
        packed = "" if maps is None else packed_maps(maps)
        return [maps, None, *_views(jobs, maps, None, True), packed, *values, None, *[None] * len(made)]

    def use_lens(maps: PageMaps, point: Point | None, line: bool, *typed: Any) -> list[Any]:
        assert maps.path is not None  # photos of the page come from files
        maps = jobs.maps(maps.path, lens_of_form(*typed))
        return [maps, point, *_views(jobs, maps, point, line), packed_maps(maps), *[None] * len(cloud)]

    file.change(
        with_page_errors(open_file), [file], [*results, *fields.form, fields.sensor, *made],
        show_progress_on=shown.facts, **HEAVY,
    )  # fmt: skip
    apply.click(
        with_maps(use_lens), [state.maps, state.point, shown.with_line, *fields.form], [*results, *cloud],
        show_progress_on=shown.facts, **HEAVY,
    )  # fmt: skip


def _inputs(jobs: Jobs, state: _VisitorState) -> tuple[gr.File, LensFields, gr.Button]:
    limits = jobs.limits
    gr.Markdown(
        f"{KINDS}, at most {limits.file_mb:g} MB and {limits.megapixels:g} megapixels.", elem_classes=["mdd-small"]
    )
    file = photo_field("Photo", "upload", 140)
    with gr.Row():
        for name, path in find_examples().items():
            button = gr.Button(f"Example: {name}", size="sm", elem_id=f"example-{name.lower()}")
            button.click(with_page_errors(lambda path=path: str(jobs.example(path))), None, file, **LIGHT)
    with gr.Accordion("Lens facts", open=True):
        help_text = "0 or an empty field is unknown. The distance is measured from the sensor."
        gr.Markdown(help_text, elem_classes=["mdd-small"])
        fields = lens_fields()
        apply = gr.Button("Use these lens facts", variant="primary", elem_id="apply")

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
        with_maps(pitch_of), [state.maps, fields.sensor, fields.focal], [fields.pitch, fields.focal], **QUIET
    )
    return file, fields, apply


def _maps_and_point(jobs: Jobs, state: _VisitorState) -> _MapViews:
    facts = gr.HTML("<p>Upload a photo, or select an example.</p>", elem_id="facts")
    pictures: dict[str, gr.Image] = {}
    scales: dict[str, gr.HTML] = {}
    for names in (("photo", "depth"), ("defocus", "confidence")):
        with gr.Row():
            for name in names:
                with gr.Column(min_width=260):
                    pictures[name] = picture_field(PICTURES[name], f"picture-{name}", "mdd-map")
                    scales[name] = gr.HTML()
    script = Path(__file__).with_name("pointer.js").read_text(encoding="utf-8")
    pointer = gr.HTML("", html_template=POINTER_HELP, js_on_load=script, elem_id="pointer")
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            law = gr.HTML(elem_id="law")
        with gr.Column(scale=1, min_width=240):
            point = gr.HTML(point_html(None), elem_id="point")
            with gr.Row():
                column = gr.Number(0, label="Column, px", minimum=0, precision=0, min_width=90, elem_id="column")
                row = gr.Number(0, label="Row, px", minimum=0, precision=0, min_width=90, elem_id="row")
            show_values = gr.Button("Show values", size="sm", elem_id="show-values")
            with_line = gr.Checkbox(True, label="draw the plane of focus")
    views = [*pictures.values(), *scales.values(), facts, law, point]

    def show_point(maps: PageMaps, line: bool, x: float | None, y: float | None) -> list[Any]:
        values = values_at(maps, x or 0, y or 0)
        at = (values.x_px, values.y_px)
        return [at, *_views(jobs, maps, at, line), *at]

    def choose(maps: PageMaps, line: bool, event: gr.SelectData) -> list[Any]:
        x, y = ((at + 0.5) / maps.scale for at in event.index)
        return show_point(maps, line, x, y)

    def draw(maps: PageMaps, at: Point | None, line: bool) -> list[Any]:
        return _views(jobs, maps, at, line)

    moved = [state.point, *views, column, row]
    for picture in pictures.values():
        picture.select(with_maps(choose), [state.maps, with_line], moved, **QUIET)
    show_values.click(with_maps(show_point), [state.maps, with_line, column, row], moved, **QUIET)
    with_line.input(with_maps(draw), [state.maps, state.point, with_line], views, **QUIET)
    return _MapViews(views, facts, pointer, with_line)


def _depth_of_field_tab(state: _VisitorState) -> list[Any]:
    with gr.Row():
        factor = gr.Slider(1, MAX_FACTOR, value=2, step=0.25, label="Aperture, times as wide", elem_id="factor")
        choice = gr.Radio([OWN_FOCUS, POINT_FOCUS], value=OWN_FOCUS, label="Plane of focus")
    picture = picture_field("Photo with a shallower depth of field: move the slider", "picture-shallow")

    def shallower(maps: PageMaps, point: Point | None, times: float, chosen: str) -> Image.Image:
        return Image.fromarray(magnified(maps, times, _u_focus(maps, point, chosen)))

    inputs = [state.maps, state.point, factor, choice]
    factor.change(with_maps(shallower), inputs, picture, **LATEST, **HEAVY)
    choice.input(with_maps(shallower), inputs, picture, **LATEST, **HEAVY)
    return [factor, choice, picture]


def _mask_tab(state: _VisitorState) -> list[Any]:
    label = "Threshold of the circle of confusion, px of the photo"
    threshold = gr.Slider(0.5, 60, value=4, step=0.5, label=label, elem_id="mask")
    with gr.Row():
        mask = picture_field("Mask, white is blurred: move the slider", "picture-mask")
        masked = picture_field("Photo with the blurred part in grey", "picture-masked")

    def show_mask(maps: PageMaps, from_px: float) -> tuple[Image.Image, Image.Image]:
        pixels = blur_mask(maps, from_px)
        return Image.fromarray(pixels), Image.fromarray(mask_over_photo(maps, pixels))

    threshold.change(with_maps(show_mask), [state.maps, threshold], [mask, masked], **LATEST, **LIGHT)
    return [threshold, mask, masked]


def _cloud_tab(jobs: Jobs, state: _VisitorState, tab: gr.Tab) -> list[Any]:
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

    show.click(with_maps(show_points), state.maps, [cloud, facts], **LIGHT)
    tab.select(
        with_page_errors(lambda maps: (gr.skip(), gr.skip()) if maps is None else show_points(maps)),
        state.maps, [cloud, facts], **LIGHT,
    )  # fmt: skip
    for slider in (right, up):
        slider.change(with_maps(rotate), [state.maps, right, up], still, **LATEST, **LIGHT)
    return [cloud, facts, still]


def _download_tab(jobs: Jobs, state: _VisitorState, settings: list[Any]) -> None:
    """Create the ZIP; ``settings`` are the factor, the plane of focus and the threshold of the other tabs."""
    kinds = gr.CheckboxGroup(
        [*FORMAT_NAMES, SHALLOW, MASK, POINTS], value=[next(iter(FORMAT_NAMES))], label="Contents of the ZIP"
    )
    pack = gr.Button("Create ZIP", variant="primary", elem_id="pack")
    archive = gr.File(label="ZIP", interactive=False, elem_id="archive")

    def make_zip(
        maps: PageMaps, point: Point | None, kinds: list[str], times: float, focus: str, from_px: float
    ) -> str:
        assert maps.path is not None  # photos of the page come from files
        wanted = ArchiveContents(
            formats=tuple(name for title, name in FORMAT_NAMES.items() if title in kinds),
            magnification=times if SHALLOW in kinds else None,
            u_focus=_u_focus(maps, point, focus) if SHALLOW in kinds else None,
            mask_px=from_px if MASK in kinds else None,
            points=POINTS in kinds,
        )
        return str(jobs.archive(maps.path, maps.lens, wanted)[0])

    pack.click(with_maps(make_zip), [state.maps, state.point, kinds, *settings], archive, **HEAVY)


def _views(jobs: Jobs, maps: PageMaps | None, point: Point | None, with_line: bool) -> list[Any]:
    """Values of the four pictures, their four scales, the facts, the law and the point."""
    if maps is None:
        return [*[None] * len(PICTURES), *[""] * len(PICTURES), "<p>Upload a photo.</p>", "", point_html(None)]
    values = None if point is None else values_at(maps, *point)
    views = panels(maps, with_line, point)
    files = jobs.picture_files({name: view.pixels for name, view in views.items()})
    found = "the green line is the plane of focus" if maps.focus.found else "no plane of focus found"
    return [
        *(files[name] for name in PICTURES),
        *(scale_html(found, views[name]) for name in PICTURES),
        facts_html(maps),
        law_svg(maps, values),
        point_html(values, maps.unit),
    ]


def _u_focus(maps: PageMaps, point: Point | None, choice: str) -> float | None:
    if choice != POINT_FOCUS:
        return None
    if point is None:
        raise MddnetError("no point selected; click a picture, or enter column and row")
    return values_at(maps, *point).inv_depth
