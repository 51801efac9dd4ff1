"""The tab of one photo: its maps, what they say at a point, and what they are for. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from mddnet.demo.blur_edit import MAX_FACTOR, blur_mask, magnified, mask_over_photo
from mddnet.demo.controls import ONE_AT_A_TIME, LensFields, lens_fields, photo_field, picture_field, told
from mddnet.demo.examples import find_examples
from mddnet.demo.jobs import Jobs, Wanted
from mddnet.demo.lens_form import CAMERAS, form_of_lens, lens_of_form, pitch_of_sensor
from mddnet.demo.linked_maps import SCRIPT, packed_maps
from mddnet.demo.look import Look, PointValues, values_at
from mddnet.demo.pictures import panels
from mddnet.demo.point_cloud import points_of, turned_view
from mddnet.demo.upload import KINDS
from mddnet.demo.words import cloud_words, facts_html, law_svg, point_html, scale_html
from mddnet.errors import MddnetError
from mddnet.predict.output import MAP_FORMATS
from mddnet.types import Lens

PICTURES = {
    "photo": "Photo, with the plane of focus as a line",
    "depth": "Depth map",
    "defocus": "Signed defocus map",
    "confidence": "Confidence",
}
OWN_FOCUS, POINT_FOCUS = "as in the photo", "through the chosen point"
FORMAT_NAMES = {f"maps, {name}": name for name in MAP_FORMATS}
SHALLOW, MASK, POINTS = "shallower depth of field (PNG)", "blur mask (PNG)", "point cloud (PLY and GLB)"
POINTER_WORDS = "<p class='mdd-small'>The pointer over a picture shows the values there; a click keeps them.</p>"
CLOUD_HELP = "<p class='mdd-small'>Drag to turn, wheel to come nearer, Ctrl and drag to move.</p>"
CLOUD_GROUND = (0.16, 0.16, 0.16, 1.0)
FROM_THE_FRONT = (90, 90, None)
"""Where the viewer of the points begins: angles in degrees, and the distance, which it finds by itself."""
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
HEAVY: dict[str, Any] = {**ONE_AT_A_TIME, **PRIVATE}
LIGHT: dict[str, Any] = {"concurrency_id": "light", "concurrency_limit": 2, **PRIVATE}


def one_photo(jobs: Jobs) -> None:
    """Lay the tab out, and say what each of its controls does."""
    look_state = gr.State(None, time_to_live=jobs.limits.temp_age_s)
    point_state = gr.State(None)
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            gr.Markdown(
                f"{KINDS}, at most {jobs.limits.file_mb:g} MB and {jobs.limits.megapixels:g} megapixels.",
                elem_classes=["mdd-small"],
            )
            file = photo_field("Photo", "upload", 140)
            examples = find_examples()
            buttons = {}
            if examples:
                with gr.Row():
                    for name in examples:
                        buttons[name] = gr.Button(f"Example: {name}", size="sm", elem_id=f"example-{name.lower()}")
            with gr.Accordion("Lens facts: 0 or nothing is unknown, the distance counts from the sensor", open=True):
                fields = lens_fields()
                apply = gr.Button("Use these lens facts", variant="primary", elem_id="apply")
        with gr.Column(scale=3, min_width=300):
            facts = gr.HTML("<p>Give a photo, or pick an example.</p>", elem_id="facts")
            pictures: dict[str, gr.Image] = {}
            scales: dict[str, gr.HTML] = {}
            for names in (("photo", "depth"), ("defocus", "confidence")):
                with gr.Row():
                    for name in names:
                        with gr.Column(min_width=260):
                            pictures[name] = picture_field(PICTURES[name], f"picture-{name}", "mdd-map")
                            scales[name] = gr.HTML()
            pointer = gr.HTML(
                "", html_template=POINTER_WORDS, js_on_load=SCRIPT.read_text(encoding="utf-8"), elem_id="pointer"
            )
            with gr.Row():
                with gr.Column(scale=2, min_width=280):
                    law = gr.HTML(elem_id="law")
                with gr.Column(scale=1, min_width=240):
                    point = gr.HTML(point_html(None, None), elem_id="point")
                    with gr.Row():
                        column = gr.Number(
                            0, label="Column, px", minimum=0, precision=0, min_width=90, elem_id="column"
                        )
                        row = gr.Number(0, label="Row, px", minimum=0, precision=0, min_width=90, elem_id="row")
                    ask = gr.Button("Show the values there", size="sm", elem_id="ask")
                    with_line = gr.Checkbox(True, label="draw the plane of focus")
    with gr.Tabs(elem_id="work"):
        with gr.Tab("Shallower depth of field"):
            with gr.Row():
                factor = gr.Slider(1, MAX_FACTOR, value=2, step=0.25, label="Aperture, times as wide", elem_id="factor")
                focus_choice = gr.Radio([OWN_FOCUS, POINT_FOCUS], value=OWN_FOCUS, label="Plane of focus")
            shallow = picture_field("Photo with a shallower depth of field: move the slider", "picture-shallow")
        with gr.Tab("Blur mask"):
            threshold = gr.Slider(
                0.5,
                60,
                value=4,
                step=0.5,
                label="Blurred is a circle of confusion above, px of the photo",
                elem_id="mask",
            )
            with gr.Row():
                mask = picture_field("Mask, white is blurred: move the slider", "picture-mask")
                masked = picture_field("Photo with the blurred part in grey", "picture-masked")
        with gr.Tab("3D") as cloud_tab:
            show_cloud = gr.Button("Show the points", size="sm", elem_id="show-points")
            cloud_facts = gr.HTML(elem_id="points-words")
            cloud = gr.Model3D(
                label="Points in space: drag to turn them",
                interactive=False,
                clear_color=CLOUD_GROUND,
                camera_position=FROM_THE_FRONT,
                height=520,
                elem_id="points",
            )
            gr.HTML(CLOUD_HELP)
            with gr.Accordion("By keyboard, or in a browser without WebGL", open=False, elem_id="still"):
                right = gr.Slider(-60, 60, value=20, step=5, label="Walk to the right, degrees", elem_id="right")
                up = gr.Slider(-60, 60, value=10, step=5, label="Walk up, degrees", elem_id="up")
                still = picture_field("Points from that side: move the sliders", "picture-cloud")
        with gr.Tab("Download"):
            kinds = gr.CheckboxGroup(
                [*FORMAT_NAMES, SHALLOW, MASK, POINTS], value=[next(iter(FORMAT_NAMES))], label="What goes into the ZIP"
            )
            pack = gr.Button("Make the ZIP", variant="primary", elem_id="pack")
            archive = gr.File(label="ZIP", interactive=False, elem_id="archive")

    form = _form(fields)
    shown = [*pictures.values(), *scales.values(), facts, law, point]
    results = [look_state, point_state, *shown, pointer]
    made = [shallow, mask, masked, cloud, cloud_facts, still]

    def open_file(path: str | None) -> list[Any]:
        look = None if path is None else jobs.look(Path(path))
        values = form_of_lens(Lens() if look is None else look.lens)
        return [look, None, *_views(jobs, look, None, True), _packed(look), *values, None, *[None] * len(made)]

    def use_lens(look: Look | None, point_at: tuple[int, int] | None, line: bool, *typed: Any) -> list[Any]:
        look = jobs.look(_path_of(look), lens_of_form(*typed))
        return [look, point_at, *_views(jobs, look, point_at, line), _packed(look), None, None]

    def choose(look: Look | None, line: bool, event: gr.SelectData) -> list[Any]:
        x, y = event.index
        return show_point(look, line, (x + 0.5) / _given(look).scale, (y + 0.5) / _given(look).scale)

    def show_point(look: Look | None, line: bool, x: float | None, y: float | None) -> list[Any]:
        values = values_at(_given(look), x or 0, y or 0)
        at = (values.x_px, values.y_px)
        return [at, *_views(jobs, look, at, line), values.x_px, values.y_px]

    def shallower(look: Look | None, point_at: tuple[int, int] | None, times: float, choice: str) -> Image.Image:
        return Image.fromarray(magnified(_given(look), times, _u_focus(_given(look), point_at, choice)))

    def pitch_of(look: Look | None, choice: str | None, focal_mm: float | None) -> Any:
        """The pitch, and the focal length where it is empty and the camera has one lens only."""
        if choice is None:
            return gr.skip(), gr.skip()
        size = _given(look)
        pitch = pitch_of_sensor(choice, size.width_px, size.height_px, focal_mm or None)
        if pitch.pixel_um is None:
            raise MddnetError(f"{pitch.note} Type the pixel pitch.")
        if pitch.note:
            gr.Info(pitch.note)
        lens_mm = CAMERAS[choice].focal_mm if choice in CAMERAS else None
        return float(f"{pitch.pixel_um:.5g}"), focal_mm or lens_mm

    def show_mask(look: Look | None, from_px: float) -> tuple[Image.Image, Image.Image]:
        pixels = blur_mask(_given(look), from_px)
        return Image.fromarray(pixels), Image.fromarray(mask_over_photo(_given(look), pixels))

    def show_points(look: Look | None) -> tuple[str, str]:
        path, points = jobs.points(_given(look))
        return str(path), f"<p>{cloud_words(points)}</p>"

    def open_cloud_tab(look: Look | None) -> tuple[Any, Any]:
        return (gr.skip(), gr.skip()) if look is None else show_points(look)

    def turn(look: Look | None, right_deg: float, up_deg: float) -> Image.Image:
        return Image.fromarray(turned_view(points_of(_given(look)), right_deg, up_deg))

    def make_zip(
        look: Look | None,
        point_at: tuple[int, int] | None,
        chosen: list[str],
        times: float,
        choice: str,
        from_px: float,
    ) -> str:
        path = _path_of(look)
        wanted = Wanted(
            formats=tuple(name for words, name in FORMAT_NAMES.items() if words in chosen),
            magnification=times if SHALLOW in chosen else None,
            u_focus=_u_focus(_given(look), point_at, choice) if SHALLOW in chosen else None,
            mask_px=from_px if MASK in chosen else None,
            points=POINTS in chosen,
        )
        return str(jobs.archive(path, _given(look).lens, wanted)[0])

    file.change(told(open_file), [file], [*results, *form, fields.sensor, *made], show_progress_on=facts, **HEAVY)
    for name, button in buttons.items():
        button.click(told(lambda path=examples[name]: str(jobs.example(path))), None, file, **LIGHT)
    apply.click(
        told(use_lens), [look_state, point_state, with_line, *form], [*results, cloud, cloud_facts],
        show_progress_on=facts, **HEAVY,
    )  # fmt: skip
    fields.sensor.input(
        told(pitch_of), [look_state, fields.sensor, fields.focal], [fields.pitch, fields.focal],
        show_progress="hidden", **LIGHT,
    )  # fmt: skip
    for picture in pictures.values():
        picture.select(
            told(choose), [look_state, with_line], [point_state, *shown, column, row], show_progress="hidden", **LIGHT
        )
    ask.click(
        told(show_point), [look_state, with_line, column, row], [point_state, *shown, column, row],
        show_progress="hidden", **LIGHT,
    )  # fmt: skip
    with_line.input(
        told(lambda look, at, line: _views(jobs, _given(look), at, line)),
        [look_state, point_state, with_line], shown, show_progress="hidden", **LIGHT,
    )  # fmt: skip
    blur_inputs = [look_state, point_state, factor, focus_choice]
    # Not on release: keys move a slider without ever releasing it.
    factor.change(told(shallower), blur_inputs, shallow, trigger_mode="always_last", **HEAVY)
    focus_choice.input(told(shallower), blur_inputs, shallow, trigger_mode="always_last", **HEAVY)
    threshold.change(told(show_mask), [look_state, threshold], [mask, masked], trigger_mode="always_last", **LIGHT)
    show_cloud.click(told(show_points), look_state, [cloud, cloud_facts], **LIGHT)
    cloud_tab.select(told(open_cloud_tab), look_state, [cloud, cloud_facts], **LIGHT)
    for slider in (right, up):
        slider.change(told(turn), [look_state, right, up], still, trigger_mode="always_last", **LIGHT)
    pack.click(told(make_zip), [look_state, point_state, kinds, factor, focus_choice, threshold], archive, **HEAVY)


def _form(fields: LensFields) -> list[Any]:
    """The fields whose values :func:`form_of_lens` gives."""
    ((distance, infinity),) = fields.distances
    return [fields.focal, fields.aperture, fields.pitch, distance, infinity]


def _packed(look: Look | None) -> str:
    return "" if look is None else packed_maps(look)


def _views(jobs: Jobs, look: Look | None, point: tuple[int, int] | None, with_line: bool) -> list[Any]:
    """Values of the four pictures, their four scales, the facts, the law and the point."""
    if look is None:
        return [*[None] * len(PICTURES), *[""] * len(PICTURES), "<p>Give a photo.</p>", "", point_html(None, None)]
    values: PointValues | None = None if point is None else values_at(look, *point)
    views = panels(look, with_line, point)
    files = jobs.shown({name: view.pixels for name, view in views.items()})
    found = "the green line is the plane of focus" if look.focus.found else "no plane of focus found"
    return [
        *(files[name] for name in PICTURES),
        *(scale_html(found, views[name]) for name in PICTURES),
        facts_html(look),
        law_svg(look, values),
        point_html(values, look),
    ]


def _given(look: Look | None) -> Look:
    if look is None:
        raise MddnetError("no photo is here, or it was removed after an hour; give it again")
    return look


def _path_of(look: Look | None) -> Path:
    path = _given(look).path
    assert path is not None  # looks of the page come from files
    return path


def _u_focus(look: Look, point: tuple[int, int] | None, choice: str) -> float | None:
    if choice != POINT_FOCUS:
        return None
    if point is None:
        raise MddnetError("no point is chosen; click a picture, or give its column and row")
    return values_at(look, *point).inv_depth
