"""What the page can be asked for, without the page: each job takes files and numbers and gives records or files."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from mddnet.demo.archive import safe_stem, save_into, save_picture, zip_folder
from mddnet.demo.blur_edit import blur_mask, magnified
from mddnet.demo.fused import FusedPair, fuse_pair
from mddnet.demo.lens_form import NOTHING_TYPED, TypedLens
from mddnet.demo.look import RENDER_SIDE_PX, Look, look_at
from mddnet.demo.point_cloud import points_of
from mddnet.demo.scratch import Scratch
from mddnet.demo.upload import Limits, read_upload, shown_name
from mddnet.errors import ImageError, MddnetError
from mddnet.photo.reader import replaced_lens
from mddnet.predict.output import MapFormat
from mddnet.predict.point_cloud import PointCloud, glb_bytes, ply_bytes
from mddnet.predict.prediction import CompactPrediction, Prediction
from mddnet.types import Lens, Photo

Maps = Prediction | CompactPrediction


class Predicts(Protocol):
    """A model, of which only this is used."""

    def predict_compact(self, x: Photo, /) -> Maps:
        """Depth and defocus of a photo; maps of the photo's size are not needed."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What goes into a ZIP.

    Attributes:
        formats: of the maps; none leaves them out.
        magnification: factor of the shallower depth of field, or None for no such picture.
        u_focus: another plane of focus for it, or None.
        mask_px: threshold of the blur mask in pixels of the photo, or None for no mask.
        points: whether the point cloud goes in, as PLY and GLB.
    """

    formats: tuple[MapFormat, ...] = ("tiff",)
    magnification: float | None = None
    u_focus: float | None = None
    mask_px: float | None = None
    points: bool = False


@dataclass(frozen=True, slots=True)
class BatchResult:
    """A batch that is done.

    Attributes:
        archive: the ZIP.
        done: names of the photos in it.
        failures: a sentence for each photo that is not.
        metric: how many of ``done`` have depth in metres.
    """

    archive: Path
    done: tuple[str, ...]
    failures: tuple[str, ...]
    metric: int


class Jobs:
    """The jobs with what they share: the model, the limits and the folder for files. One runs at a time."""

    def __init__(self, model: Predicts, limits: Limits, scratch: Scratch) -> None:
        """Take what the jobs share."""
        self.model = model
        self.limits = limits
        self.scratch = scratch
        # Full-size maps of one photo at a time are what bounds the memory, whoever calls.
        self._turn = threading.Lock()

    def look(self, path: Path, lens: Lens | None = None) -> Look:
        """Predict a photo and give what the page keeps of it.

        Args:
            path: an uploaded file.
            lens: exactly these lens facts; None takes those of EXIF.

        Raises:
            MddnetError: for a file that cannot be used.
        """
        with self._turn:
            photo = self._photo(path, lens)
            start = time.perf_counter()
            prediction = self._predicted(photo)
            model_s = time.perf_counter() - start
            return replace(look_at(prediction), model_s=model_s)

    def archive(
        self, path: Path, lens: Lens | None, wanted: Wanted, replace_exif: bool = True
    ) -> tuple[Path, dict[str, Any]]:
        """The ZIP of one photo's results, and the facts that ``pred.save`` writes as JSON.

        Args:
            path: an uploaded file.
            lens: lens facts; None takes those of EXIF.
            wanted: what goes in.
            replace_exif: whether ``lens`` is all that is known; if not, EXIF fills its unknown fields.

        Raises:
            MddnetError: for a file that cannot be used, or if nothing is wanted.
        """
        if not (wanted.formats or wanted.magnification or wanted.mask_px or wanted.points):
            raise MddnetError("nothing is chosen for the ZIP; expected at least one kind of file")
        with self._turn, self.scratch.job() as job:
            photo = self._photo(path, lens if replace_exif else None)
            if not replace_exif:
                photo = replace(photo, lens=replaced_lens(photo.lens, lens))
            prediction = self._predicted(photo)
            folder = job / "files"
            folder.mkdir()
            stem = safe_stem(path.name)
            facts: dict[str, Any] = {}
            if wanted.formats:
                save_into(prediction, folder, wanted.formats)
                facts = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
            if wanted.magnification is not None:
                look = look_at(prediction, RENDER_SIDE_PX)
                picture = magnified(look, wanted.magnification, wanted.u_focus)
                save_picture(picture, folder / f"{stem}.aperture_x{wanted.magnification:.3g}.png")
            if wanted.mask_px is not None:
                whole = look_at(prediction, max(prediction.size))
                save_picture(blur_mask(whole, wanted.mask_px), folder / f"{stem}.blur_mask.png")
            if wanted.points:
                cloud = points_of(look_at(prediction))
                (folder / f"{stem}.points.ply").write_bytes(ply_bytes(cloud))
                (folder / f"{stem}.points.glb").write_bytes(glb_bytes(cloud))
            return zip_folder(folder, job / f"{stem}.mddnet.zip"), facts

    def batch(
        self,
        paths: Sequence[Path],
        map_format: MapFormat = "tiff",
        step: Callable[[int, str], None] = lambda done, name: None,
        typed: TypedLens = NOTHING_TYPED,
    ) -> BatchResult:
        """Predict several photos into one ZIP; a photo that fails is named, and the others are done.

        Args:
            paths: uploaded files.
            map_format: of the maps.
            step: called before each photo with the number done and the name of the next.
            typed: lens facts of all photos; what is not typed comes from the EXIF data of each.

        Raises:
            MddnetError: for no photo, too many of them, or if every one failed.
        """
        if not 0 < len(paths) <= self.limits.batch_files:
            raise MddnetError(f"{len(paths)} photos: expected 1 to {self.limits.batch_files}")
        with self.scratch.job() as job:
            folder = job / "files"
            folder.mkdir()
            done: list[str] = []
            failures: list[str] = []
            metric = 0
            pixels_left = self.limits.batch_megapixels * 1e6
            for number, path in enumerate(paths):
                step(number, shown_name(path))
                try:
                    with self._turn:
                        photo = read_upload(path, self.limits, pixels_left)
                        pixels_left -= photo.pixels.shape[0] * photo.pixels.shape[1]
                        prediction = self.model.predict_compact(typed.added_to(photo))
                        save_into(prediction, folder, (map_format,))
                    metric += prediction.unit == "1/m"
                    done.append(shown_name(path))
                except (MddnetError, MemoryError) as error:
                    failures.append(str(error) or f"{shown_name(path)}: too little memory for it")
            if not done:
                raise MddnetError("no photo could be used: " + "; ".join(failures))
            return BatchResult(zip_folder(folder, job / "mddnet.zip"), tuple(done), tuple(failures), metric)

    def pair(
        self, first: Path, second: Path, typed: tuple[TypedLens, TypedLens] = (NOTHING_TYPED, NOTHING_TYPED)
    ) -> tuple[FusedPair, Path]:
        """Two photos of one scene: their maps, both in one sharp picture, and a ZIP of it all.

        Args:
            first: an uploaded file.
            second: another.
            typed: lens facts of the two; what is not typed comes from EXIF.

        Raises:
            ImageError: for files that cannot be used, or two photos that do not lie on one another.
        """
        with self._turn, self.scratch.job() as job:
            photos = [
                facts.added_to(read_upload(path, self.limits))
                for path, facts in zip((first, second), typed, strict=True)
            ]
            stems = [safe_stem(path.name) for path in (first, second)]
            if stems[0] == stems[1]:
                stems = [f"{stems[0]}_1", f"{stems[1]}_2"]
            pair = fuse_pair(photos[0], photos[1], self.model.predict_compact)
            folder = job / "files"
            folder.mkdir()
            for stem, prediction in zip(stems, pair.predictions, strict=True):
                named = replace(prediction, photo=replace(prediction.photo, path=Path(stem + ".png")))
                save_into(named, folder)
            save_picture(pair.sharp, folder / "fused.png")
            save_picture((pair.index * 255 + 0.5).astype(np.uint8), folder / "taken_from.png")
            return pair, zip_folder(folder, job / "two_photos.mddnet.zip")

    def points(self, look: Look) -> tuple[Path, PointCloud]:
        """The points of a look as a GLB file for the page, and what they are."""
        cloud = points_of(look)
        with self.scratch.job() as job:
            path = job / "points.glb"
            path.write_bytes(glb_bytes(cloud))
            return path, cloud

    def shown(self, pictures: Mapping[str, np.ndarray[Any, np.dtype[np.uint8]]]) -> dict[str, str]:
        """Pictures as PNG files for the page, under their names: quick to write, not small."""
        with self.scratch.job() as job:
            return {
                name: str(save_picture(pixels, job / f"{name}.png", compress_level=1))
                for name, pixels in pictures.items()
            }

    def example(self, path: Path) -> Path:
        """A copy of an example in the page's own folder: nothing outside it is ever given out."""
        with self.scratch.job() as job:
            return Path(shutil.copyfile(path, job / path.name))

    def _photo(self, path: Path, lens: Lens | None) -> Photo:
        photo = read_upload(path, self.limits)
        return photo if lens is None else replace(photo, lens=lens)

    def _predicted(self, photo: Photo) -> Maps:
        try:
            return self.model.predict_compact(photo)
        except MemoryError:
            height, width = photo.pixels.shape[:2]
            raise ImageError(f"{width} x {height} px: too little memory for it; make the photo smaller") from None


def small_picture(pixels: np.ndarray[Any, np.dtype[np.uint8]], long_side_px: int) -> Image.Image:
    """A picture for the page, at most that long."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((long_side_px, long_side_px), Image.Resampling.LANCZOS)
    return picture
