"""A prediction in a few lines of text, for the console, for ``print`` and for notebooks."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from mddnet.predict.prediction import Prediction
from mddnet.predict.preview import preview
from mddnet.predict.words import photo_words, verdict_words

NOTEBOOK_WIDTH_PX = 800


def summary(prediction: Prediction) -> str:
    """The verdict and what the photo shows, in one line."""
    return f"{verdict_words(prediction)}; {photo_words(prediction)}"


def detail_line(prediction: Prediction) -> str:
    """Size, unit and the numbers of the lens law, in one line."""
    height, width = prediction.size
    focus = prediction.focus
    law = f"u_focus {focus.u_focus:.3g}, kappa {focus.kappa_px:.3g} px, residual {focus.residual_px:.2g} px"
    where = law if focus.found else f"no plane of focus found ({focus.reason})"
    return f"  {width} x {height} px, inverse depth [{prediction.unit}], {where}"


def saved_summary(name: str, prediction: Prediction, files: dict[str, Path], verbose: bool = False) -> str:
    """The summary of a saved prediction and its notes, one line each."""
    line = f"{name}: {summary(prediction)} -> {files['facts'].with_suffix('.*')} ({len(files)} files)"
    return "\n".join([line, *([detail_line(prediction)] if verbose else []), *note_lines(prediction)])


def note_lines(prediction: Prediction) -> list[str]:
    """The notes, one line each."""
    return [f"  note: {note}" for note in prediction.notes]


def notebook_html(prediction: Prediction) -> str:
    """The summary, the notes and the preview, as HTML for a notebook."""
    import html

    text = html.escape("\n".join([summary(prediction), *note_lines(prediction)]))
    picture = preview(prediction)
    picture.thumbnail((NOTEBOOK_WIDTH_PX, NOTEBOOK_WIDTH_PX))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<pre>{text}</pre><img alt="photo, depth, blur" src="data:image/png;base64,{data}">'
