"""The pipeline that reads photos and videos, predicts them, and saves the results into a folder.

It is used by the command line, Ray, the demo and Python:

    model = mddnet.load()
    photos, failures = find_photos(["shots/"])
    for outcome in predict_files(model, photos, Settings(Path("out"))):
        print(outcome.text)
"""

from __future__ import annotations

import glob
import os
import stat
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache, partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from PIL import Image

from mddnet.cores import worker_threads
from mddnet.errors import ImageError, MddnetError
from mddnet.io.json_fields import display
from mddnet.io.part_file import remove_abandoned
from mddnet.photo.lens_facts import CameraLens, replaced_lens
from mddnet.photo.raw import RAW_SUFFIXES
from mddnet.photo.reader import photo_header, read_photo
from mddnet.photo.video import frame_count, frame_stem, is_video, sampled_frames, video_frames
from mddnet.predict.depth_prior import Priors
from mddnet.predict.device import Device
from mddnet.predict.map_files import MAP_WRITERS
from mddnet.predict.output import (
    MapDetail,
    SaveFormat,
    check_stem,
    claim_stem,
    content_of,
    find_saved,
    is_output,
    read_facts,
    save,
    source_of,
)
from mddnet.predict.prediction import Prediction
from mddnet.predict.predictor import Model, load
from mddnet.predict.preview import PreviewRange, preview_range
from mddnet.predict.preview_film import save_preview_film
from mddnet.predict.summary import saved_summary
from mddnet.types import InvDepthUnit, Lens, Photo

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".webp"),
    *(".bmp", ".gif", ".ppm", ".pgm", ".pnm", ".jp2", ".j2k", ".avif", ".tga"),
    *(".heic", ".heif", ".hif", ".exr"),
)
"""Suffixes of photos in a folder, in addition to raw files; a named file is read with any suffix."""
LARGE_PIXELS = 40_000_000  # a photo with more pixels is processed alone, to limit the memory
MAX_WORKERS = 8  # largest number of photos that are processed at once, to limit the memory
MAX_WRITERS = 2  # largest number of files of a photo that are written at once, for the same reason
RANGE_FRAMES = 9  # frames of a video that determine the colour range of all its previews


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings for the prediction of photos."""

    out: Path  # folder for the results
    formats: tuple[SaveFormat, ...] = ("tiff",)
    lens: Lens = field(default_factory=Lens)  # facts that replace those of the photos
    linear: bool = False  # whether the samples of the photos are linear light
    max_pixels: int | None = None  # larger photos are rejected; None is the default limit
    detail: MapDetail = field(default_factory=MapDetail)  # precision and size of the maps in files
    refine: bool = False  # whether to add a second pass at twice the resolution
    priors: Priors | None = None  # depth priors of the photos
    resume: bool = False  # whether to skip photos with results of the same settings and model
    verbose: bool = False  # whether summaries have the numbers of the lens law
    writers: int = 1  # number of files of a photo that are written at once


@dataclass(frozen=True, slots=True)
class Item:
    """A photo, or a frame of a video."""

    path: Path
    name: str  # for messages
    stem: str  # of its results
    read: Callable[[], Photo]  # called once, or never if results exist
    ranges: VideoRanges | None = None  # colour ranges of the previews of its video
    alone: bool = False  # whether it must be processed alone, since it is large


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for a photo, or for a frame of a video."""

    path: Path
    text: str  # a summary and the notes, one line each; or the error
    facts: Path | None  # the facts file; None after an error


def find_photos(paths: Sequence[str], recursive: bool = False) -> tuple[list[Path], list[str]]:
    """The photos of paths, folders and patterns, each once and in order; and an error for each one without photos.

    ``recursive`` includes the subfolders of folders.
    """
    found: dict[str, Path] = {}
    failures: list[str] = []
    for given in paths:
        try:
            members = _members(given, recursive, failures)
        except MddnetError as error:
            failures.append(str(error))
        except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
            failures.append(f"{display(given)}: {_reason(error)}; expected a photo, a folder or a pattern")
        else:
            for member in members:
                problem = _problem(member)
                if problem is None:
                    found.setdefault(os.path.realpath(member), member)
                else:
                    failures.append(f"{member}: {problem}")
    return list(found.values()), failures


def _members(given: str, recursive: bool, failures: list[str]) -> list[Path]:
    """The photos of one path, folder or pattern; OSError, ValueError or ImageError if it has none."""
    path = Path(given)
    if not given:
        raise ImageError("an empty name; expected a photo, a folder or a pattern")
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        if not glob.has_magic(given):
            return [path]  # reported in its turn
        members = [Path(name) for name in sorted(glob.glob(given, recursive=True)) if not os.path.isdir(name)]
        if not members:
            raise ImageError(f"{given}: no file matches this pattern") from None
        return members
    return _photos_below(path, recursive, failures) if is_folder else [path]


def _problem(path: Path) -> str | None:
    """Why a path cannot be read as a file; None if it can be, or does not exist, which is reported in its turn."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"{_reason(error)}; expected an image file"
    return None if stat.S_ISREG(mode) else "a pipe or a device; expected an image file: save it as a file first"


def _photos_below(folder: Path, recursive: bool, failures: list[str]) -> list[Path]:
    """The photos of a folder, and of its subfolders that can be read; ImageError if there are none."""
    members = _photos_in(folder)
    subfolders = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())
    if recursive:
        for subfolder in subfolders:
            if subfolder.is_symlink():
                continue  # may lead back
            try:
                members += _photos_below(subfolder, recursive, failures)
            except ImageError:
                continue
            except OSError as error:
                failures.append(f"{subfolder}: {_reason(error)}; make the folder readable")
    if not members:
        hint = "; --recursive includes its subfolders" if subfolders and not recursive else ""
        raise ImageError(f"{folder}: no photo in this folder; expected {', '.join(PHOTO_SUFFIXES)}{hint}")
    return members


def _reason(error: Exception) -> str:
    """The reason of an error of the system in lower case, without the path; another error by its class."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _photos_in(folder: Path) -> list[Path]:
    facts_once = cache(read_facts)  # one file states all results of a photo

    def is_photo(path: Path) -> bool:
        known = path.suffix.lower() in (*PHOTO_SUFFIXES, *RAW_SUFFIXES)
        return known and not path.name.startswith(".") and not os.path.isdir(path) and not is_output(path, facts_once)

    members = [path for path in sorted(folder.iterdir()) if is_photo(path)]
    # Of a raw file and a JPEG of one name, the camera's JPEG is used.
    developed = {path.stem for path in members if path.suffix.lower() in PHOTO_SUFFIXES}
    return [path for path in members if path.suffix.lower() in PHOTO_SUFFIXES or path.stem not in developed]


def expected_items(path: Path) -> int:
    """Number of items of a file; 1 for a video that cannot be read, which fails later."""
    try:
        return frame_count(path) if is_video(path) else 1
    except Exception:
        # Decoders raise many classes of exceptions.
        return 1


def predict_files(model: Model, paths: Sequence[Path], settings: Settings, workers: int = 1) -> Iterator[Outcome]:
    """Predict photos and videos, ``workers`` at once, and save the results; the outcomes have the order of the paths.

    Each worker processes a whole photo, since several networks on one core each are faster than one on all cores. An
    error of a photo does not affect the others; a video ends with the first frame that fails. Numbers in file names
    have the order of the paths, too.
    """
    remove_abandoned(settings.out)
    yield from _with_films(_outcomes(model, paths, settings, workers))


def _outcomes(model: Model, paths: Sequence[Path], settings: Settings, workers: int) -> Iterator[Outcome]:
    failed: set[Path] = set()
    waiting: deque[Future[Outcome | None]] = deque()

    def finished(leave: int) -> Iterator[Outcome]:
        while len(waiting) > leave:
            outcome = waiting.popleft().result()
            if outcome is not None:
                yield outcome

    def work(item: Item, turn: threading.Event, claimed: threading.Event) -> Outcome | None:
        try:
            if item.path in failed:
                return None
            outcome = predict_item(model, item, settings, turn, claimed)
            if outcome.facts is None:
                failed.add(item.path)
            return outcome
        finally:
            claimed.set()

    with worker_threads(workers) as pool:
        turn = threading.Event()
        turn.set()
        for path in paths:
            for item in items_of(model, path, settings):
                if path in failed:
                    break
                if item.alone:
                    yield from finished(leave=0)
                claimed = threading.Event()
                waiting.append(pool.submit(work, item, turn, claimed))
                turn = claimed
                yield from finished(leave=0 if item.alone else workers)
        yield from finished(leave=0)


def _with_films(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """The outcomes in their order; the text of the last frame of a video names the film of its previews."""
    for path, of_one in groupby(outcomes, key=attrgetter("path")):
        if not is_video(path):
            yield from of_one
            continue
        last, frames = None, list[Path]()
        for outcome in of_one:
            if last is not None:
                yield last
            last = outcome
            if outcome.facts is not None:
                frames.append(outcome.facts)
        assert last is not None  # no group is empty
        yield from _and_film(last, frames)


def _and_film(last: Outcome, frames: Sequence[Path]) -> Iterator[Outcome]:
    """The last outcome of a video, with its film, and the error of the film, if any."""
    try:
        if frames:
            film = save_preview_film(last.path, frames)
            if last.facts is not None:
                text = f"{last.text}\n{last.path}: film of {len(frames)} previews -> {film}"
                last = Outcome(last.path, text, last.facts)
        yield last
    except (MddnetError, OSError) as error:
        yield last
        yield Outcome(last.path, f"{last.path}: no film of the previews: {error}", None)


def items_of(model: Model, path: Path, settings: Settings) -> Iterator[Item]:
    """The items of a file; an error of a video is raised when its last item is read."""
    if not is_video(path):
        read = partial(read_photo, path, settings.lens, max_pixels=settings.max_pixels, linear=settings.linear)
        yield Item(path, str(path), path.stem, read, alone=_is_large(path))
        return
    ranges = VideoRanges(model, path, settings)
    try:
        for index, frame in enumerate(video_frames(path, settings.lens, max_pixels=settings.max_pixels)):
            stem = frame_stem(path, index)
            yield Item(path, f"{path}, {stem}", stem, partial(_identity, frame), ranges)
    except Exception as error:
        # Whatever is wrong with one file, the others follow.
        yield Item(path, str(path), "", partial(_raise, error))


def predict_item(
    model: Model,
    item: Item,
    settings: Settings,
    turn: threading.Event | None = None,
    claimed: threading.Event | None = None,
) -> Outcome:
    """Read, predict and save one photo or frame, unless its results exist.

    It waits for ``turn`` before it claims a stem, so that numbers have the order of the photos; then it sets
    ``claimed``.
    """
    try:
        facts = _existing_facts(model, item, settings)
        if facts is not None:
            return Outcome(item.path, f"{item.name}: done before", facts)
        check_stem(item.stem)
        prior = None if settings.priors is None else settings.priors.of(item.path)
        prediction = model.predict(item.read(), refine=settings.refine, depth_prior=prior)
        fixed_range = None if item.ranges is None else item.ranges.of(prediction)
        if turn is not None:
            turn.wait()
        claim_stem(settings.out, item.stem, source_of(prediction.photo))
        if claimed is not None:
            claimed.set()
        detail, writers = settings.detail, 1 if item.alone else settings.writers
        files = save(
            prediction, settings.out, item.stem, settings.formats, fixed_range,
            full=detail.full, maps_at=detail.at, writers=writers,
        )  # fmt: skip
        return Outcome(item.path, saved_summary(item.name, prediction, files, settings.verbose), files["facts"])
    except Exception as error:
        # Whatever is wrong with one photo, the others follow.
        return Outcome(item.path, error_text(item.path, error), None)


def error_text(path: Path, error: Exception) -> str:
    """The error of a photo, with its name."""
    if isinstance(error, MemoryError):
        return f"{path}: not enough memory"
    reason = str(error) if isinstance(error, MddnetError) else _reason(error)
    return reason if reason.startswith(str(path)) else f"{path}: {reason}"


def _identity(frame: Photo) -> Photo:
    return frame


def _raise(error: Exception) -> Photo:
    raise error


def _is_large(path: Path) -> bool:
    """Whether a photo has more than 40 megapixels by its header, or more than 40 MB if Pillow cannot read it."""
    if not os.path.isfile(path):
        return False  # a pipe would be waited for
    try:
        with Image.open(path) as image:
            return image.width * image.height > LARGE_PIXELS
    except Exception:
        # Pillow raises many classes of exceptions for a damaged header; an error is reported when the file is read.
        return os.path.isfile(path) and os.path.getsize(path) > LARGE_PIXELS


def _existing_facts(model: Model, item: Item, settings: Settings) -> Path | None:
    """The facts file of an earlier run with the same content, model and settings."""
    if not settings.resume or not item.stem:
        return None
    facts = find_saved(settings.out, item.path, item.stem)
    if facts is None or (facts.model, facts.model_version) != (model.name, model.version):
        return None
    if facts.refined != settings.refine or facts.content is None or facts.content != content_of(item.path):
        return None
    if facts.depth_prior != (None if settings.priors is None else settings.priors.name_for(item.path)):
        return None
    if facts.detail != settings.detail and set(settings.formats) & MAP_WRITERS.keys():
        return None
    if not facts.intact(settings.formats):
        return None
    return facts.path if facts.lens == _lens_used(item.path, settings.lens, facts.lens) else None


def _lens_used(path: Path, given: Lens, used: Lens) -> Lens | None:
    """The lens facts of results with the ``given`` facts, by those ``used``; None if the photo cannot be read."""
    if not isinstance(given, CameraLens) or given.camera is None:
        return replaced_lens(used, given)
    try:
        header = photo_header(path, "predict it again")
        return given.added_to(used, header.width, header.height, [])
    except MddnetError:
        return None


class VideoRanges:
    """One colour range per unit for all previews of a video, so that its frames can be compared.

    The ranges are determined on first use. A video may have several units, since a frame without a plane of focus is
    relative.
    """

    def __init__(self, model: Model, path: Path, settings: Settings) -> None:
        self._model, self._path, self._settings = model, path, settings
        self._lock = threading.Lock()

    def of(self, prediction: Prediction) -> PreviewRange | None:
        """The range for a frame; None for a unit that none of the sampled frames has."""
        with self._lock:
            return self._by_unit.get(prediction.unit)

    @cached_property
    def _by_unit(self) -> dict[InvDepthUnit, PreviewRange]:
        found: dict[InvDepthUnit, list[PreviewRange]] = {}
        lens, max_pixels = self._settings.lens, self._settings.max_pixels
        for photo in sampled_frames(self._path, RANGE_FRAMES, lens, max_pixels=max_pixels):
            prediction = self._model.predict(photo)
            found.setdefault(prediction.unit, []).append(preview_range(prediction))
        return {unit: PreviewRange.over(ranges) for unit, ranges in found.items()}


def predict_on_ray(
    address: str, model: str, paths: Sequence[Path], settings: Settings, threads: int = 1, device: Device = "auto"
) -> Generator[Outcome]:
    """:func:`predict_files` on a Ray cluster at an address, with one call on ``threads`` cores per file.

    Model, photos and the folder for the results have the same absolute paths on all machines. Inputs with one name are
    numbered here, in order, so that file names do not depend on the speed of the machines. The outcomes have the order
    of completion.
    """
    from mddnet.cluster import on_ray  # slow to import

    out = settings.out
    out.mkdir(parents=True, exist_ok=True)
    remove_abandoned(out)
    counts = Counter(path.stem for path in paths)
    for path in paths:
        if counts[path.stem] > 1 and not is_video(path):
            try:
                claim_stem(out, path.stem, str(path.resolve()))
            except MddnetError:
                continue  # reported in its turn
    folders = {out, *(path.parent for path in paths[:1])}
    calls = ((model, threads, device, settings, path) for path in paths)
    for outcomes in on_ray(address, _predict_file, calls, _lost_outcome, folders, cores=threads):
        yield from outcomes
    remove_abandoned(out)  # files of machines that failed


_Call = tuple[str, int, Device, Settings, Path]


def _predict_file(call: _Call) -> list[Outcome]:
    """Predict a photo, or the frames of a video until one fails."""
    name, threads, device, settings, path = call
    outcomes: list[Outcome] = []
    try:
        model = _loaded(name, threads, device)
    except MddnetError as error:
        return [Outcome(path, f"{path}: {error}", None)]
    for item in items_of(model, path, settings):
        outcomes.append(predict_item(model, item, settings))
        if outcomes[-1].facts is None:
            break
    return list(_with_films(outcomes))


@lru_cache(maxsize=1)
def _loaded(model: str, threads: int, device: Device) -> Model:
    """The model, loaded once per worker."""
    return load(model, threads, device=device)


def _lost_outcome(call: _Call, reason: str) -> list[Outcome]:
    return [Outcome(call[-1], f"{call[-1]}: {reason}", None)]
