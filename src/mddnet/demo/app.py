"""The page: its layout, what each control does, and how it is served. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from mddnet.demo.blur_edit import MAX_FACTOR, blur_mask, magnified, mask_over_photo
from mddnet.demo.examples import find_examples
from mddnet.demo.jobs import Jobs, Wanted, small_picture
from mddnet.demo.lens_form import SENSOR_WIDTH_MM, form_of_lens, lens_of_form, pixel_um_of_sensor
from mddnet.demo.look import LOOK_SIDE_PX, Look, PointValues, look_at, values_at
from mddnet.demo.pictures import panels
from mddnet.demo.point_cloud import points_of, turned_view
from mddnet.demo.upload import KINDS, UPLOAD_SUFFIXES
from mddnet.demo.words import facts_html, law_svg, point_html, scale_html
from mddnet.errors import MddnetError
from mddnet.predict.output import MAP_FORMATS
from mddnet.types import Lens

TITLE = "mddnet: depth and defocus from one photo"
PICTURES = {
    "photo": "Photo, with the plane of focus as a line",
    "depth": "Depth map",
    "defocus": "Signed defocus map",
    "confidence": "Confidence",
}
OWN_FOCUS, POINT_FOCUS = "as in the photo", "through the chosen point"
FORMAT_NAMES = {f"maps, {name}": name for name in MAP_FORMATS}
SHALLOW, MASK, POINTS = "shallower depth of field (PNG)", "blur mask (PNG)", "point cloud (PLY and GLB)"
FONTS = ["system-ui", "sans-serif"]
CSS = """
.mdd-scale p {margin: 0 0 2px 0; font-size: .9rem}
.mdd-scale .mdd-ends {display: flex; justify-content: space-between; font-size: .9rem}
.mdd-law {width: 100%; max-width: 760px; height: auto; font: 13px system-ui, sans-serif}
.mdd-law text {fill: currentColor}
.mdd-key {font-size: .9rem}
.mdd-small {font-size: .85rem}
table.mdd-point {border-collapse: collapse; width: 100%}
table.mdd-point, table.mdd-point :is(tbody, th, td, tr) {border: none !important}
table.mdd-point caption {text-align: left; font-weight: 600}
table.mdd-point th {text-align: left; padding: 2px 12px 2px 0; font-weight: 400; white-space: nowrap}
table.mdd-point td {font-weight: 600}
.mdd-map img {cursor: crosshair}
"""
LABELS_JS = """
() => {
  const name = () => {
    document.documentElement.lang = "en";
    for (const id of ["facts", "point"]) {
      const block = document.getElementById(id);
      if (block && !block.hasAttribute("aria-live")) block.setAttribute("aria-live", "polite");
    }
  };
  name();
  new MutationObserver(name).observe(document.body, {childList: true, subtree: true});
}
"""
API_WORDS = f"""
### What is shown
*Inverse depth* is 1 over the distance; larger is nearer. Without lens facts it is relative: order and proportions of
differences count, the numbers do not. With focal length, f-number, pixel pitch and focus distance it is in 1/m, and
metres follow. *Defocus* is the diameter of the circle of confusion in pixels of the photo, positive behind the plane of
focus, negative in front of it. *Confidence* says how well both maps agree with each other and with the texture.

### From a script
```python
from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")
facts, archive = client.predict(handle_file("cup.jpg"), 50, 1.8, 5.9, 0.8, api_name="/predict")
```
`/predict` takes the photo, focal length in mm, f-number, pixel pitch in µm and focus distance in m (each may be None:
then EXIF decides) and gives the facts and a ZIP with the files of `pred.save`. `/magnify` takes the photo and a factor
and gives a picture, at most {LOOK_SIDE_PX} px long, `/batch` several photos, `/fuse` two of one scene.

Nothing leaves this machine, and photos and results are removed after an hour.
"""


def build_page(jobs: Jobs) -> gr.Blocks:
    """The page as a Gradio app that is not started yet.

    Args:
        jobs: what its controls ask for.
    """
    # Gradio asks for its folder when components are made.
    os.environ["GRADIO_TEMP_DIR"] = str(jobs.scratch.cache)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, int(jobs.limits.temp_age_s))) as page:
        gr.Markdown(f"# {TITLE}")
        with gr.Tabs():
            with gr.Tab("One photo"):
                _one_photo(jobs)
            with gr.Tab("Two photos"):
                _two_photos(jobs)
            with gr.Tab("Several photos"):
                _several_photos(jobs)
            with gr.Tab("About and API"):
                gr.Markdown(API_WORDS)
        _stateless_api(jobs)
    page.queue(max_size=jobs.limits.queue, default_concurrency_limit=1)
    return page


def serve(jobs: Jobs, host: str, port: int, block: bool = True) -> tuple[gr.Blocks, str]:
    """Start the page.

    Args:
        jobs: what it asks for.
        host: address to listen on.
        port: port; 0 takes a free one.
        block: wait until it is interrupted or terminated; only in the main thread.

    Returns:
        The page and its address.

    Raises:
        MddnetError: if the port is taken.
    """
    page = build_page(jobs)
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port or _free_port(host),
            share=False,
            inbrowser=False,
            quiet=True,
            show_error=True,
            prevent_thread_lock=True,
            allowed_paths=[],
            max_file_size=int(jobs.limits.file_mb * 1e6),
            state_session_capacity=jobs.limits.sessions,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            run_history=False,
            theme=gr.themes.Default(font=FONTS, font_mono=["ui-monospace", "monospace"]),
            css=CSS,
            js=LABELS_JS,
            footer_links=["settings"],
        )
    except OSError as error:
        raise MddnetError(f"cannot listen on {host}:{port} ({error}); choose another --port") from error
    if block:
        # a service manager stops the page like Ctrl+C does: it closes, and its files go
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(f"{TITLE}\n{url}\nStop with Ctrl+C.", flush=True)
        page.block_thread()
    return page, url


# --- one photo --------------------------------------------------------------------------------------------------------


def _one_photo(jobs: Jobs) -> None:
    look_state = gr.State(None, time_to_live=jobs.limits.temp_age_s)
    point_state = gr.State(None)
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            gr.Markdown(
                f"{KINDS}, at most {jobs.limits.file_mb:g} MB and {jobs.limits.megapixels:g} megapixels.",
                elem_classes=["mdd-small"],
            )
            file = gr.File(
                label="Photo",
                file_types=list(UPLOAD_SUFFIXES),
                height=140,
                elem_id="upload",
            )
            examples = find_examples()
            buttons = {}
            if examples:
                with gr.Row():
                    for name in examples:
                        buttons[name] = gr.Button(f"Example: {name}", size="sm", elem_id=f"example-{name.lower()}")
            with gr.Accordion("Lens facts: 0 or nothing is unknown, the distance counts from the sensor", open=True):
                with gr.Row():
                    focal = gr.Number(None, label="Focal length, mm", minimum=0, min_width=110, elem_id="focal")
                    aperture = gr.Number(None, label="f-number", minimum=0, min_width=110, elem_id="f-number")
                with gr.Row():
                    pitch = gr.Number(None, label="Pixel pitch, µm", minimum=0, min_width=110, elem_id="pitch")
                    distance = gr.Number(None, label="Focus distance, m", minimum=0, min_width=110, elem_id="distance")
                infinity = gr.Checkbox(False, label="focused at infinity")
                sensor = gr.Dropdown(
                    list(SENSOR_WIDTH_MM), value=None, label="Sensor: fills in the pitch of an uncropped photo"
                )
                apply = gr.Button("Use these lens facts", variant="primary", elem_id="apply")
        with gr.Column(scale=3, min_width=300):
            facts = gr.HTML("<p>Give a photo, or pick an example.</p>", elem_id="facts")
            pictures: dict[str, gr.Image] = {}
            scales: dict[str, gr.HTML] = {}
            for names in (("photo", "depth"), ("defocus", "confidence")):
                with gr.Row():
                    for name in names:
                        with gr.Column(min_width=260):
                            pictures[name] = _picture(PICTURES[name], f"picture-{name}", "mdd-map")
                            scales[name] = gr.HTML()
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
    with gr.Tabs():
        with gr.Tab("Shallower depth of field"):
            with gr.Row():
                factor = gr.Slider(1, MAX_FACTOR, value=2, step=0.25, label="Aperture, times as wide", elem_id="factor")
                focus_choice = gr.Radio([OWN_FOCUS, POINT_FOCUS], value=OWN_FOCUS, label="Plane of focus")
            shallow = _picture("Photo with a shallower depth of field: move the slider", "picture-shallow")
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
                mask = _picture("Mask, white is blurred: move the slider", "picture-mask")
                masked = _picture("Photo with the blurred part in grey", "picture-masked")
        with gr.Tab("3D"):
            with gr.Row():
                right = gr.Slider(-60, 60, value=20, step=5, label="Walk to the right, degrees", elem_id="right")
                up = gr.Slider(-60, 60, value=10, step=5, label="Walk up, degrees", elem_id="up")
            cloud = _picture("Points in space: move the sliders to turn them", "picture-cloud")
        with gr.Tab("Download"):
            kinds = gr.CheckboxGroup(
                [*FORMAT_NAMES, SHALLOW, MASK, POINTS], value=[next(iter(FORMAT_NAMES))], label="What goes into the ZIP"
            )
            pack = gr.Button("Make the ZIP", variant="primary", elem_id="pack")
            archive = gr.File(label="ZIP", interactive=False, elem_id="archive")

    form = [focal, aperture, pitch, distance, infinity]
    shown = [*pictures.values(), *scales.values(), facts, law, point]
    results = [look_state, point_state, *shown]

    def open_file(path: str | None) -> list[Any]:
        if path is None:
            return [None, None, *_views(None, None, True), *form_of_lens(Lens()), None, None, None, None, None]
        look = jobs.look(Path(path))
        return [look, None, *_views(look, None, True), *form_of_lens(look.lens), None, None, None, None, None]

    def use_lens(look: Look | None, point_at: tuple[int, int] | None, line: bool, *fields: Any) -> list[Any]:
        path = _path_of(look)
        look = jobs.look(path, lens_of_form(*fields))
        return [look, point_at, *_views(look, point_at, line)]

    def choose(look: Look | None, line: bool, event: gr.SelectData) -> list[Any]:
        x, y = event.index
        return show_point(look, line, (x + 0.5) / _given(look).scale, (y + 0.5) / _given(look).scale)

    def show_point(look: Look | None, line: bool, x: float | None, y: float | None) -> list[Any]:
        values = values_at(_given(look), x or 0, y or 0)
        at = (values.x_px, values.y_px)
        return [at, *_views(look, at, line), values.x_px, values.y_px]

    def shallower(look: Look | None, point_at: tuple[int, int] | None, times: float, choice: str) -> Image.Image:
        return Image.fromarray(magnified(_given(look), times, _u_focus(_given(look), point_at, choice)))

    def pitch_of(look: Look | None, choice: str | None) -> Any:
        if look is None or choice is None:
            return gr.skip()
        return float(f"{pixel_um_of_sensor(choice, look.width_px, look.height_px):.5g}")

    def show_mask(look: Look | None, from_px: float) -> tuple[Image.Image, Image.Image]:
        pixels = blur_mask(_given(look), from_px)
        return Image.fromarray(pixels), Image.fromarray(mask_over_photo(_given(look), pixels))

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

    one_at_a_time: dict[str, Any] = {"concurrency_id": "photos", "concurrency_limit": 1, "api_visibility": "private"}
    light: dict[str, Any] = {"concurrency_id": "light", "concurrency_limit": 2, "api_visibility": "private"}
    file.change(
        _told(open_file),
        [file],
        [*results, *form, sensor, shallow, mask, masked, cloud],
        show_progress_on=facts,
        **one_at_a_time,
    )
    for name, button in buttons.items():
        button.click(_told(lambda path=examples[name]: str(jobs.example(path))), None, file, **light)
    apply.click(
        _told(use_lens), [look_state, point_state, with_line, *form], results, show_progress_on=facts, **one_at_a_time
    )
    sensor.change(_told(pitch_of), [look_state, sensor], pitch, show_progress="hidden", **light)
    for picture in pictures.values():
        picture.select(
            _told(choose), [look_state, with_line], [point_state, *shown, column, row], show_progress="hidden", **light
        )
    ask.click(
        _told(show_point), [look_state, with_line, column, row], [point_state, *shown, column, row],
        show_progress="hidden", **light,
    )  # fmt: skip
    with_line.input(
        _told(lambda look, at, line: _views(_given(look), at, line)),
        [look_state, point_state, with_line], shown, show_progress="hidden", **light,
    )  # fmt: skip
    blur_inputs = [look_state, point_state, factor, focus_choice]
    # Not on release: keys move a slider without ever releasing it.
    factor.change(_told(shallower), blur_inputs, shallow, trigger_mode="always_last", **one_at_a_time)
    focus_choice.input(_told(shallower), blur_inputs, shallow, trigger_mode="always_last", **one_at_a_time)
    threshold.change(_told(show_mask), [look_state, threshold], [mask, masked], trigger_mode="always_last", **light)
    for slider in (right, up):
        slider.change(_told(turn), [look_state, right, up], cloud, trigger_mode="always_last", **light)
    pack.click(
        _told(make_zip), [look_state, point_state, kinds, factor, focus_choice, threshold], archive, **one_at_a_time
    )


def _views(look: Look | None, point: tuple[int, int] | None, with_line: bool) -> list[Any]:
    """Values of the four pictures, their four scales, the facts, the law and the point."""
    if look is None:
        return [*[None] * len(PICTURES), *[""] * len(PICTURES), "<p>Give a photo.</p>", "", point_html(None, None)]
    values: PointValues | None = None if point is None else values_at(look, *point)
    views = panels(look, with_line, point)
    found = "the green line is the plane of focus" if look.focus.found else "no plane of focus found"
    return [
        *(Image.fromarray(views[name].pixels) for name in PICTURES),
        *(scale_html(found, views[name]) for name in PICTURES),
        facts_html(look),
        law_svg(look, values),
        point_html(values, look),
    ]


# --- two photos, several photos, scripts ------------------------------------------------------------------------------


def _two_photos(jobs: Jobs) -> None:
    gr.Markdown("Two photos of one scene from one place, one focused near and one far.")
    with gr.Row():
        first = gr.File(label="First photo", file_types=list(UPLOAD_SUFFIXES), height=120, elem_id="first")
        second = gr.File(label="Second photo", file_types=list(UPLOAD_SUFFIXES), height=120, elem_id="second")
    go = gr.Button("Fuse them", variant="primary", elem_id="fuse")
    words = gr.HTML(elem_id="pair-words")
    sharp = _picture("Both photos in one: sharp near and far", "picture-fused")
    with gr.Row():
        maps = [_picture(f"{what}, {which} photo", f"picture-{which}-{i}") for i, what in enumerate(
            ("Depth map", "Signed defocus map")) for which in ("first", "second")]  # fmt: skip
    archive = gr.File(label="ZIP of all maps and the fused picture", interactive=False)

    def fuse(first_path: str | None, second_path: str | None) -> list[Any]:
        if first_path is None or second_path is None:
            raise MddnetError("one photo is missing; give two")
        pair, path = jobs.pair(Path(first_path), Path(second_path))
        views = [panels(look_at(prediction)) for prediction in pair.predictions]
        height, width = pair.sharp.shape[:2]
        sentence = f"<p>{width} × {height} px. {pair.note} Correlation of the two: {pair.correlation:.2f}.</p>"
        pictures = [Image.fromarray(view[name].pixels) for name in ("depth", "defocus") for view in views]
        return [sentence, small_picture(pair.sharp, LOOK_SIDE_PX), *pictures, str(path)]

    go.click(
        _told(fuse), [first, second], [words, sharp, *maps, archive],
        concurrency_id="photos", concurrency_limit=1, api_name="fuse",
    )  # fmt: skip


def _several_photos(jobs: Jobs) -> None:
    limits = jobs.limits
    gr.Markdown(
        f"At most {limits.batch_files} photos with {limits.batch_megapixels:g} megapixels together; lens facts come "
        "from EXIF."
    )
    files = gr.File(
        label="Photos", file_count="multiple", file_types=list(UPLOAD_SUFFIXES), height=180, elem_id="several"
    )
    map_format = gr.Radio(list(MAP_FORMATS), value="tiff", label="Format of the maps")
    go = gr.Button("Predict all", variant="primary", elem_id="predict-all")
    words = gr.Markdown(elem_id="batch-words")
    archive = gr.File(label="ZIP", interactive=False, elem_id="batch-archive")

    def batch(paths: list[str] | None, chosen: Any, progress: gr.Progress = gr.Progress()) -> tuple[str, str]:  # noqa: B008
        total = len(paths or [])
        result = jobs.batch(
            [Path(path) for path in paths or []],
            chosen if chosen in MAP_FORMATS else "tiff",
            lambda done, name: progress((done, total), desc=name, unit="photos"),
        )
        lines = [f"{len(result.done)} of {total} photos done.", *(f"- {failure}" for failure in result.failures)]
        return "\n".join(lines), str(result.archive)

    go.click(
        _told(batch), [files, map_format], [words, archive],
        concurrency_id="photos", concurrency_limit=1, api_name="batch",
    )  # fmt: skip


def _stateless_api(jobs: Jobs) -> None:
    """Endpoints that a script calls with a file and numbers; nothing of them is seen on the page."""
    file = gr.File(visible=False, label="photo")
    labels = ("focal length, mm", "f-number", "pixel pitch, µm", "focus distance, m")
    numbers = [gr.Number(None, visible=False, label=label) for label in labels]
    factor = gr.Number(2, visible=False, label="factor")
    facts, archive = gr.JSON(visible=False, label="facts"), gr.File(visible=False, label="ZIP")
    picture = gr.Image(visible=False, label="picture", format="png")
    predict_button, magnify_button = gr.Button(visible=False), gr.Button(visible=False)

    def predict(
        path: str | None, focal_mm: float | None, f_number: float | None, pixel_um: float | None, focus_m: float | None
    ) -> tuple[dict[str, Any], str]:
        if path is None:
            raise MddnetError("no photo given")
        infinite = focus_m == math.inf
        given = lens_of_form(focal_mm, f_number, pixel_um, None if infinite else focus_m, infinite)
        target, written = jobs.archive(Path(path), given, Wanted(), replace_exif=False)
        return written, str(target)

    def magnify(path: str | None, times: float) -> Image.Image:
        if path is None:
            raise MddnetError("no photo given")
        return Image.fromarray(magnified(jobs.look(Path(path)), times))

    shared: dict[str, Any] = {"concurrency_id": "photos", "concurrency_limit": 1}
    predict_button.click(_told(predict), [file, *numbers], [facts, archive], api_name="predict", **shared)
    magnify_button.click(_told(magnify), [file, factor], picture, api_name="magnify", **shared)


# --- shared -----------------------------------------------------------------------------------------------------------


def _picture(label: str, elem_id: str, *classes: str) -> gr.Image:
    return gr.Image(
        label=label,
        alt_text=label,
        format="png",
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id=elem_id,
        elem_classes=list(classes),
    )


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Errors of ours become messages of the page; of any other, a visitor learns only that there was one."""
    try:
        yield
    except MddnetError as error:
        raise gr.Error(str(error), print_exception=False) from None
    except MemoryError:
        raise gr.Error("too little memory for this; try a smaller photo", print_exception=False) from None


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its errors turned into messages of the page; Gradio reads the signature of the original."""
    import functools

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _plain_errors():
            return function(*args, **kwargs)

    return wrapped


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


def _free_port(host: str) -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
