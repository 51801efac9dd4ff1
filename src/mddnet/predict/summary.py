"""A prediction in one line of text, for the console and for ``print``."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

from mddnet.predict.prediction import Prediction
from mddnet.predict.preview import preview

NOTEBOOK_WIDTH_PX = 800


def summary(prediction: Prediction) -> str:
    """Size, unit and plane of focus, in one line."""
    height, width = prediction.size
    focus, sharp = prediction.focus, prediction.depth_of_field
    if not focus.found:
        where = f"no plane of focus found ({focus.reason})"
    elif prediction.unit == "1/m":
        distance = f"{1 / focus.u_focus:.3g} m from the lens" if focus.u_focus > 0 else "infinity"
        where = f"in focus at {distance}, residual {focus.residual_px:.2g} px"
        if sharp is not None:
            where += f", sharp from {sharp.near_m:.3g} to {sharp.far_m:.3g} m"
    else:
        where = f"in focus at u = {focus.u_focus:.3g}, residual {focus.residual_px:.2g} px"
    return f"{width} x {height} px, inverse depth [{prediction.unit}], {where}"


def saved_summary(name: str, prediction: Prediction, files: dict[str, Path]) -> str:
    """The summary of a saved prediction and its notes, one line each."""
    line = f"{name}: {summary(prediction)} -> {files['facts'].with_suffix('.*')} ({len(files)} files)"
    return "\n".join([line, *note_lines(prediction)])


def note_lines(prediction: Prediction) -> list[str]:
    """The notes, one line each."""
    return [f"  note: {note}" for note in prediction.notes]


def notebook_html(prediction: Prediction) -> str:
    """The summary, the notes and the preview, as HTML for a notebook."""
    text = html.escape("\n".join([summary(prediction), *note_lines(prediction)]))
    picture = preview(prediction)
    picture.thumbnail((NOTEBOOK_WIDTH_PX, NOTEBOOK_WIDTH_PX))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<pre>{text}</pre><img alt="photo, inverse depth, signed defocus" src="data:image/png;base64,{data}">'
