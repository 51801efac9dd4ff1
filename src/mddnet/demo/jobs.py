"""The jobs behind the page, without Gradio: functions from files and numbers to records and files."""

from __future__ import annotations

import json
import os
import threading
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from mddnet.demo.blur_edit import blur_mask, refocused
from mddnet.demo.examples import example_photos
from mddnet.demo.lens_form import NO_LENS_FACTS, TypedLens
from mddnet.demo.page_maps import HERO_SIDE_PX, RENDER_SIDE_PX, PageMaps, Point, page_maps, points_of, smaller
from mddnet.demo.scratch import Scratch
from mddnet.demo.stack_view import StackView, stack_view
from mddnet.demo.upload import Limits, check_stack, read_upload, safe_stem, shown_name
from mddnet.errors import MddnetError
from mddnet.focus_stack import stack
from mddnet.io.atomic import atomic_write
from mddnet.predict.folder import Item, Settings, predict_item
from mddnet.predict.output import MapFormat, save
from mddnet.predict.point_cloud import PointCloud, glb_bytes, ply_bytes
from mddnet.predict.predictor import Model
from mddnet.types import Lens, Photo, UInt8Array

FACTOR = 3.0  # of the aperture, for a photo that was just opened


@dataclass(frozen=True, slots=True)
class ArchiveContents:
    """The contents of a ZIP."""

    formats: tuple[MapFormat, ...] = ("tiff",)  # of the maps; empty for no maps
    magnification: float | None = None  # factor of the shallower depth of field; None for no picture
    point: Point | None = None  # to focus on, as fractions of width and height; None keeps the plane of focus
    mask_px: float | None = None  # threshold of the blur mask in pixels of the photo; None for no mask
    points: bool = False  # whether to include the point cloud, as PLY and GLB


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a batch."""

    archive: Path  # the ZIP
    done: tuple[str, ...]  # names of the photos in it
    failures: tuple[str, ...]  # one error per failed photo
    metric: int  # number of photos in ``done`` with depth in metres


class Jobs:
    """The jobs, with a common model, limits and folder for files.

    The lens facts of a job are a ``Lens``, used exactly; a :class:`TypedLens`, completed by EXIF; or None, EXIF alone.
    """

    def __init__(self, model: Model, limits: Limits, scratch: Scratch, threads: int | None = None) -> None:
        self.model = model
        self.limits = limits
        self.scratch = scratch
        self.threads = threads  # largest number of processor cores for a focal stack
        self._examples: dict[str, tuple[PageMaps, UInt8Array]] = {}
        # One job at a time, to limit the memory.
        self._lock = threading.Lock()

    def maps(self, path: Path, lens: Lens | None = None) -> PageMaps:
        """Predict an uploaded photo, and return its maps for the page; MddnetError for an unusable file."""
        with self._lock:
            photo = self._read(path, lens)
            start = time.perf_counter()
            prediction = self.model.predict(photo)
            return replace(page_maps(prediction), model_s=time.perf_counter() - start)

    def archive(
        self, path: Path, lens: Lens | TypedLens | None, wanted: ArchiveContents
    ) -> tuple[Path, dict[str, Any]]:
        """The ZIP of the results of an uploaded photo, and the facts of ``save``; MddnetError without any contents."""
        if not (wanted.formats or wanted.magnification or wanted.mask_px or wanted.points):
            raise MddnetError("no contents selected for the ZIP; expected at least one kind of file")
        with self._lock, self.scratch.job() as job:
            prediction, stem = self.model.predict(self._read(path, lens)), safe_stem(path.name)
            facts: dict[str, Any] = {}
            if wanted.formats:
                anonymous = replace(prediction, photo=replace(prediction.photo, path=None))  # no path on this machine
                facts = _read_json(save(anonymous, job, stem, wanted.formats)["facts"])
            if wanted.magnification is not None:
                picture = refocused(page_maps(prediction, RENDER_SIDE_PX), wanted.magnification, wanted.point)
                _save_picture(picture, job / f"{stem}.aperture_x{wanted.magnification:.3g}.png")
            if wanted.mask_px is not None:
                whole = page_maps(prediction, max(prediction.size))
                _save_picture(blur_mask(whole, wanted.mask_px), job / f"{stem}.blur_mask.png")
            if wanted.points:
                cloud = points_of(page_maps(prediction))
                (job / f"{stem}.points.ply").write_bytes(ply_bytes(cloud))
                (job / f"{stem}.points.glb").write_bytes(glb_bytes(cloud))
            return _zipped(job, f"{stem}.mddnet.zip"), facts

    def batch(
        self,
        paths: Sequence[Path],
        map_format: MapFormat = "tiff",
        step: Callable[[int, str], None] = lambda done, name: None,
        typed: TypedLens = NO_LENS_FACTS,
    ) -> BatchResult:
        """Predict several uploaded photos into one ZIP; errors of single photos are listed.

        ``step`` is called before each photo with the number of finished ones and its name; the lens facts are those of
        all photos. MddnetError for no photo, too many of them, or if all failed.
        """
        if not 0 < len(paths) <= self.limits.batch_files:
            raise MddnetError(f"{len(paths)} photos: expected 1 to {self.limits.batch_files}")
        pixels_left = self.limits.batch_megapixels * 1e6

        def read(path: Path) -> Photo:
            nonlocal pixels_left
            photo = self._read(path, typed, pixels_left)
            pixels_left -= photo.pixels.shape[0] * photo.pixels.shape[1]
            return replace(photo, path=None)

        done, failures, metric = [], [], 0
        with self.scratch.job() as job:
            for number, path in enumerate(paths):
                name = shown_name(path)
                step(number, name)
                item = Item(Path(name), name, safe_stem(path.name), partial(read, path))
                with self._lock:
                    outcome = predict_item(self.model, item, Settings(job, (map_format,)))
                if outcome.facts is None:
                    failures.append(outcome.text)
                else:
                    done.append(name)
                    metric += _read_json(outcome.facts)["unit"] == "1/m"
            if not done:
                raise MddnetError("all photos failed: " + "; ".join(failures))
            return BatchResult(_zipped(job, "mddnet.zip"), tuple(done), tuple(failures), metric)

    def stack(
        self,
        paths: Sequence[Path],
        typed: TypedLens = NO_LENS_FACTS,
        focus_m: Sequence[float | None] | None = None,
        step: Callable[[str, int, int], None] = lambda name, done, count: None,
    ) -> tuple[StackView, Path]:
        """Measure uploaded photos of one scene with :func:`mddnet.stack`, and write a ZIP of its results.

        ``focus_m`` are the focus distances of the photos; ``step`` is called as by that function.
        """
        check_stack(paths, self.limits)
        with self._lock, self.scratch.job() as job:
            try:
                result = stack(
                    paths, lens=typed.for_any_photo, focus_m=focus_m, threads=self.threads, scratch=job, step=step
                )
            except MddnetError as error:
                text = str(error)
                for path in paths:
                    text = text.replace(str(path), shown_name(path)).replace(str(path.parent), "the uploads")
                raise MddnetError(text) from None
            result.save(job, "stack")
            return stack_view(result), _zipped(job, "stack.mddnet.zip")

    def points(self, maps: PageMaps) -> tuple[Path, PointCloud]:
        """The point cloud, and its GLB file for the page."""
        cloud = points_of(maps)
        with self.scratch.job() as job:
            path = job / "points.glb"
            path.write_bytes(glb_bytes(cloud))
            return path, cloud

    def picture_files(self, pictures: Mapping[str, UInt8Array]) -> dict[str, str]:
        """Pictures as PNG files for the page, by name, with fast compression."""
        with self.scratch.job() as job:
            return {name: _save_picture(pixels, job / f"{name}.png", 1) for name, pixels in pictures.items()}

    def example(self, name: str) -> tuple[PageMaps, UInt8Array]:
        """The maps of an example photo, and the photo refocused with ``FACTOR``; both are kept."""
        file_name, content = example_photos()[name]
        path = self.example_file(file_name, content)
        if name not in self._examples:
            maps = self.maps(path)
            self._examples[name] = maps, refocused(smaller(maps, HERO_SIDE_PX), FACTOR)
        return self._examples[name]

    def example_file(self, name: str, content: Callable[[], bytes]) -> Path:
        """An example in the page's folder, written if it is not there; files outside it are never served."""
        path = self.scratch.cache / "examples" / name
        if path.is_file():
            os.utime(path)  # it is needed for as long as an upload
        else:
            path.parent.mkdir(exist_ok=True)
            atomic_write(path, lambda stream: stream.write(content()))
        return path

    def _read(self, path: Path, lens: Lens | TypedLens | None, pixels_left: float | None = None) -> Photo:
        photo = read_upload(path, self.limits, pixels_left)
        if isinstance(lens, TypedLens):
            return lens.added_to(photo)
        return photo if lens is None else replace(photo, lens=lens)


def _save_picture(pixels: UInt8Array, path: Path, compress_level: int = 3) -> str:
    Image.fromarray(pixels).save(path, compress_level=compress_level)
    return str(path)


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _zipped(folder: Path, name: str) -> Path:
    """Move the files of a folder into a ZIP in it, uncompressed, since maps and PNGs hardly compress."""
    files = sorted(folder.iterdir())
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for path in files:
            archive.write(path, path.name)
            path.unlink()
    return folder / name
