"""One range of colours for the previews of a whole video, so that its frames can be compared."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Protocol

from mddnet.photo.video import sampled_frames
from mddnet.predict.prediction import PredictedPhoto
from mddnet.predict.view import PreviewRange, preview_range
from mddnet.types import InvDepthUnit, Lens, Photo

SAMPLES = 9


class PredictsPhotos(Protocol):
    """A model, of which only this is used."""

    def predict_compact(self, x: Photo, /) -> PredictedPhoto:
        """Depth and defocus of a photo."""
        ...


class VideoRanges:
    """The fixed range of a video's previews, from frames spread evenly over it; found when it is first asked for.

    A range holds for a unit: where no plane of focus is found, a frame stays relative among metric ones.
    """

    def __init__(
        self, model: PredictsPhotos, path: Path, lens: Lens | None = None, max_pixels: int | None = None
    ) -> None:
        """Remember what to look at; nothing is read yet.

        Args:
            model: predicts the frames that are looked at.
            path: the video.
            lens: what is known of the lens.
            max_pixels: as for :func:`~mddnet.photo.video.video_frames`.
        """
        self._model, self._path, self._lens, self._max_pixels = model, path, lens, max_pixels

    def of(self, prediction: PredictedPhoto) -> PreviewRange | None:
        """The range for a frame; None, a range of its own, for a unit that no frame looked at has."""
        return self._by_unit.get(prediction.unit)

    @cached_property
    def _by_unit(self) -> dict[InvDepthUnit, PreviewRange]:
        found: dict[InvDepthUnit, list[PreviewRange]] = {}
        for photo in sampled_frames(self._path, SAMPLES, self._lens, max_pixels=self._max_pixels):
            prediction = self._model.predict_compact(photo)
            found.setdefault(prediction.unit, []).append(preview_range(prediction))
        return {unit: PreviewRange.over(ranges) for unit, ranges in found.items()}
