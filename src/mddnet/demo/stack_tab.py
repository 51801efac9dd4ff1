"""The tabs for a focal stack and for two photos of one scene. Needs Gradio (extra ``demo``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from mddnet.demo.controls import (
    HEAVY,
    LATEST,
    QUIET,
    MapViews,
    compared,
    lens_fields,
    photo_field,
    slider_files,
    thumbnails,
    typed_lenses,
    with_maps,
    with_page_errors,
)
from mddnet.demo.examples import example_frames, thumbnail
from mddnet.demo.html import stack_html
from mddnet.demo.jobs import Jobs
from mddnet.demo.lens_form import TypedLens
from mddnet.demo.stack_view import StackView
from mddnet.errors import MddnetError

LENS_TITLE = "Camera, lens and focus distances, for depth in metres; what is empty is read from EXIF"
DISTANCES = "Focus distance of every photo from the sensor, m, in the order of the files (0.5, 0.8, inf)"
HERO_HELP = "<p class='mdd-small'>Click to see the photo that is focused there, left. Right: sharp everywhere.</p>"


def stack_tab(jobs: Jobs, tab: gr.Tab, two: bool) -> None:
    """Create the tab; ``two`` is that for one photo focused near and one focused far."""
    prefix = "pair-" if two else "stack-"
    kept = gr.State(None, time_to_live=jobs.limits.temp_age_s)
    gr.Markdown(
        "Two photos of one scene from one viewpoint, focused near and far, become one that is sharp in both."
        if two
        else "Photos of one scene from one viewpoint with different focus give depth far crisper than that of one "
        "photo, and a picture that is sharp everywhere. Their order is found."
    )
    with gr.Row(elem_classes=["mdd-inputs"]):
        with gr.Column(scale=2, min_width=260):
            if two:
                with gr.Row():
                    files = [photo_field(f"{name} photo", name.lower()) for name in ("First", "Second")]
            else:
                files = [photo_field(f"2 to {jobs.limits.batch_files} photos", "frames", file_count="multiple")]
        with gr.Column(scale=3, min_width=320):
            examples = thumbnails("Example, simulated", f"{prefix}examples")
    with gr.Accordion(LENS_TITLE, open=False, elem_id=f"{prefix}lens"):
        names = ("Focus distance of the first", "Focus distance of the second") if two else ()
        fields = lens_fields(prefix, names)
        texts = [] if two else [gr.Textbox(label=DISTANCES, elem_id=f"{prefix}distances")]
    go = gr.Button("Measure depth", variant="primary", elem_id=f"{prefix}go")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            hero = compared("One photo | sharp everywhere", f"{prefix}hero")
            gr.HTML(HERO_HELP, elem_classes=["mdd-help"])
        with gr.Column(scale=2, min_width=300):
            facts = gr.HTML("<p>No photos measured yet.</p>", elem_id=f"{prefix}facts")
            archive = gr.File(label="ZIP of all maps, pictures and points", interactive=False, elem_id=f"{prefix}zip")
    views = MapViews.create(prefix)
    shown = [hero, facts, *views.components]

    def show(view: StackView, frame: int) -> list[Any]:
        pictures = slider_files(jobs, view.frames[frame], view.sharp.pixels)
        return [pictures, stack_html(view, frame), *views.values(jobs, view.frame_maps(frame), False)]

    def measure(paths: list[Path], typed: Sequence[Any], progress: gr.Progress) -> list[Any]:
        lens, focus_m = (lens_of_pair if two else lens_of_stack)(*typed)
        view, path = jobs.stack(
            paths, lens, focus_m, lambda step, done, count: progress((done, count), desc=step, unit="photos")
        )
        return [view, str(path), *show(view, 0)]

    def measure_files(progress: gr.Progress = gr.Progress(), *values: Any) -> list[Any]:  # noqa: B008
        given, typed = values[: len(files)], values[len(files) :]
        return measure(paths_of_pair(*given) if two else [Path(path) for path in given[0] or []], typed, progress)

    def measure_example(view: StackView | None, progress: gr.Progress = gr.Progress()) -> list[Any]:  # noqa: B008
        frames = example_frames(two)
        if view is not None:
            return [gr.skip()] * (3 + len(shown))
        progress(0, desc="example")
        paths = [jobs.example_file(name, partial(frames.__getitem__, name)) for name in frames]
        nothing = [None] * len([*fields.typed, *texts])
        return [
            [(thumbnail(content), name.removesuffix(".jpg").replace("_", " ")) for name, content in frames.items()],
            *measure(paths, nothing, progress),
        ]

    results = [kept, archive, *shown]
    on_facts: dict[str, Any] = {"show_progress_on": facts, **HEAVY}
    go.click(with_page_errors(measure_files), [*files, *fields.typed, *texts], results, **on_facts)
    tab.select(with_page_errors(measure_example), kept, [examples, *results], **on_facts)
    examples.select(with_page_errors(lambda: measure_example(None)), None, [examples, *results], **on_facts)

    def focus(view: StackView, event: gr.EventData) -> list[Any]:
        return show(view, view.focused_at((event.x, event.y)))

    views.pointer.select(with_maps(focus), kept, shown, **LATEST, **QUIET)


def paths_of_pair(first: str | None, second: str | None) -> list[Path]:
    """Both paths; MddnetError if one is missing."""
    if first is None or second is None:
        raise MddnetError("one photo is missing; upload two")
    return [Path(first), Path(second)]


def lens_of_pair(*typed: Any) -> tuple[TypedLens, list[float | None] | None]:
    """The lens facts of two photos by :func:`typed_lenses`, and their focus distances."""
    lenses = typed_lenses(*typed)
    distances = [lens.lens.focus_m for lens in lenses]
    shared = replace(lenses[0], lens=replace(lenses[0].lens, focus_m=None))
    return shared, None if distances == [None, None] else distances


def lens_of_stack(*typed: Any) -> tuple[TypedLens, list[float | None] | None]:
    """The lens facts of all photos, and their focus distances from a text with commas; MddnetError for another."""
    *facts, text = typed
    (lens,) = typed_lenses(*facts, None, False)
    if not (text or "").strip():
        return lens, None
    try:
        values: list[float | None] = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(value is not None and value > 0 for value in values):
        raise MddnetError(f"focus distances {text[:60]}: expected metres, such as 0.5, 0.8, inf")
    return lens, values
