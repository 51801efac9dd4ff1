"""``mddnet predict``: depth and defocus of photos, written to a folder."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from mddnet.cli.predict_on_cluster import ClusterJob
    from mddnet.predict.model_dir import ModelDir
    from mddnet.predict.output import SaveFormat
    from mddnet.predict.prediction import PredictedPhoto
    from mddnet.predict.predictor import Model
    from mddnet.predict.video import VideoRanges
    from mddnet.predict.view import PreviewRange
    from mddnet.types import Lens, Photo

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".webp"),
    *(".bmp", ".gif", ".ppm", ".pgm", ".pnm", ".jp2", ".j2k", ".avif", ".tga"),
    *(".heic", ".heif", ".hif", ".exr"),
)
"""Files that are taken from a folder, beside raw files; a file that is named is read whatever its suffix."""
LARGE_PIXELS = 40_000_000
MOST_WORKERS = 8
"""Photos that are worked on at once at most, however many cores there are: each takes memory."""


def predict(
    paths: list[str] | None = None,
    /,
    *,
    list_file: Annotated[str | None, Parameter(name="--list", allow_leading_hyphen=True)] = None,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    model: str = "small",
    focal_mm: float | None = None,
    f_number: float | None = None,
    pixel_um: float | None = None,
    focus_m: float | None = None,
    threads: int | None = None,
    formats: str = "tiff",
    linear: Annotated[bool, Parameter(negative="")] = False,
    fine: Annotated[bool, Parameter(negative="")] = False,
    max_megapixels: float | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    ray: str | None = None,
) -> int:
    """Predict depth and defocus of photos, and write both with a preview and the facts.

    For cup.jpg the folder gets cup.inv_depth.tiff, cup.defocus_px.tiff, cup.signed_defocus_px.tiff,
    cup.confidence.tiff, cup.depth_m.tiff (if the lens and its focus distance are known), cup.preview.png and cup.json.
    For clip.mp4 it gets all of them for every frame: clip.000000.inv_depth.tiff and so on.

    Parameters
    ----------
    paths
        Photos, videos, folders of photos, or patterns such as "shots/*.jpg". HEIC, camera raw, EXR and videos need
        the extra "formats".
    list_file
        Text file with more of them, one a line; "-" reads standard input.
    out
        Folder for the results; made if it is missing.
    model
        A shipped model, a model folder or a .zip of one, or hf://owner/name (extra hub).
    focal_mm
        Focal length in millimetres; replaces EXIF.
    f_number
        F-number; replaces EXIF.
    pixel_um
        Pitch of the photo's pixels as given, in micrometres; replaces EXIF.
    focus_m
        Distance of the plane of focus from the sensor in metres (inf for infinity); replaces EXIF.
    threads
        Processor cores to use at most.
    formats
        What to write, separated by commas. Maps: tiff (float32), png (16 bits, with its scale), npy (float32), exr
        (float32, extra "formats"). Made from them: mask (size of the blur as a 16-bit TIFF), ply and glb (points in
        space).
    linear
        The samples of the photos are linear light, not sRGB (16-bit and float TIFF).
    fine
        Look a second time, at twice the size: small blur is measured better, in five times the time.
    max_megapixels
        Refuse larger photos by their header: 200, or what the environment variable MDDNET_MAX_MEGAPIXELS says. More
        lets a small file take much memory, 12 MB a megapixel.
    resume
        Leave out photos whose results are complete and were made of this content, with this model, lens and formats.
    json
        Print one JSON object a line for each photo instead of words: its facts, or its error.
    ray
        Address of a Ray cluster that predicts instead, such as HOST:6379 or auto (extra ray). All its machines must see
        photos, model and OUT under the same paths; --threads is what one photo takes, 1 by default.
    """
    from mddnet.cores import usable_cores
    from mddnet.errors import MddnetError
    from mddnet.predict.output import SAVE_FORMATS, claim_stem, require_formats, save
    from mddnet.types import Lens

    try:
        lens = Lens(focal_mm, f_number, pixel_um, focus_m)
        if not paths and list_file is None:
            raise ValueError("no photo; expected photos, folders or patterns, or --list")
        if threads is not None and threads < 1:
            raise ValueError(f"--threads is {threads}; expected at least 1")
        if max_megapixels is not None and not 0 < max_megapixels < 1e6:
            raise ValueError(f"--max-megapixels is {max_megapixels:g}; expected a positive number")
        max_pixels = None if max_megapixels is None else math.ceil(max_megapixels * 1e6)
        named = {part.strip() for part in formats.split(",")}
        chosen = [name for name in SAVE_FORMATS if name in named]
        if not named.issubset(SAVE_FORMATS):
            raise ValueError(f"--formats {formats}: expected some of {','.join(SAVE_FORMATS)}")
    except ValueError as error:
        print(f"mddnet predict: {error}", file=sys.stderr)
        return 2
    require_formats(chosen)

    # Imported after the flags were checked: wrong usage answers at once.
    from mddnet.io.part_file import remove_abandoned
    from mddnet.predict.predictor import load

    try:
        listed = _listed(list_file)
    except (OSError, UnicodeDecodeError) as error:
        print(f"mddnet predict: --list {list_file}: {error}; expected a text file in UTF-8", file=sys.stderr)
        return 2
    photos, failures = find_photos([*(paths or []), *listed])
    for failure in failures:
        print(f"mddnet: {failure}", file=sys.stderr)
        if json:
            print(_json_line(error=failure), flush=True)
    if ray is not None:
        from mddnet.cli.predict_on_cluster import ClusterJob
        from mddnet.model.folder import shipped_models

        here = model if not Path(model).exists() or model in shipped_models() else str(Path(model).resolve())
        task = ClusterJob(here, out.resolve(), lens, linear, max_pixels, fine, resume, tuple(chosen), threads or 1)
        return _print_from_cluster(ray, task, photos, failures, json)
    expected = sum(_expected(path) for path in photos)
    cores = threads or usable_cores()
    workers = max(1, min(cores, expected, MOST_WORKERS))
    # a run uses the core that calls it and those that nobody else does
    predictor = load(model, threads if workers == 1 else cores - workers + 1, shares_cores=workers > 1)
    remove_abandoned(out)

    def done_before(path: Path, stem: str) -> Path | None:
        return _done_before(path, stem, out, predictor.model_dir, lens, chosen, fine) if resume else None

    def write(item: _Item, prediction: PredictedPhoto, fixed_range: PreviewRange | None) -> tuple[str, Path]:
        files = save(prediction, out, item.stem, chosen, fixed_range)
        return summary(item.name, prediction, files), files["facts"]

    def look(item: _Item) -> PredictedPhoto:
        return predictor.predict_compact(item.read(), fine=fine)

    with _Progress(expected) as progress:

        def report(path: Path, line: str, facts: Path) -> None:
            print(_json_line(path, facts) if json else line, flush=True)
            progress.step()

        def failed(path: Path, error: Exception) -> None:
            failures.append(_named(path, error))
            print(f"mddnet: {failures[-1]}", file=sys.stderr)
            if json:
                print(_json_line(path, error=failures[-1]), flush=True)
            progress.step()

        # A core works on a photo from its file to its results: a network on one core each does more than one on all.
        with _pool(workers) as pool:
            looking: deque[tuple[Path, _Item, Future[PredictedPhoto]]] = deque()
            writing: deque[tuple[Path, Future[tuple[str, Path]]]] = deque()
            given_up: set[Path] = set()

            def give_up(path: Path, error: Exception) -> None:
                given_up.add(path)
                failed(path, error)

            def finish_writing(leave: int = 0) -> None:
                """Report what was given to be written first, until no more than ``leave`` are left."""
                while len(writing) > leave:
                    path, future = writing.popleft()
                    try:
                        report(path, *future.result())
                    except (MddnetError, MemoryError) as error:
                        give_up(path, error)

            def finish_looking(leave: int = 0) -> None:
                """Give to be written what was looked at first, until no more than ``leave`` are left."""
                while len(looking) > leave:
                    path, item, future = looking.popleft()
                    if path in given_up:
                        continue
                    try:
                        prediction = future.result()
                        fixed_range = item.ranges.of(prediction) if item.ranges is not None else None
                        finish_writing(leave=workers - 1)
                        # of photos of one name the first gets it, whichever is written first
                        claim_stem(out, path, item.stem)
                    except (MddnetError, MemoryError) as error:
                        finish_writing()
                        give_up(path, error)
                        continue
                    writing.append((path, pool.submit(write, item, prediction, fixed_range)))

            def finish() -> None:
                finish_looking()
                finish_writing()

            for job in _jobs(photos, lens, linear, max_pixels, predictor, done_before, given_up):
                if job.item is None or job.facts is not None or not job.beside_others:
                    finish()
                if job.path in given_up:
                    continue
                if job.item is None:
                    assert job.error is not None
                    give_up(job.path, job.error)
                elif job.facts is not None:
                    report(job.path, f"{job.item.name}: done before", job.facts)
                else:
                    looking.append((job.path, job.item, pool.submit(look, job.item)))
                    finish_looking(leave=workers)
                    if not job.beside_others:
                        finish()
            finish()
    if failures and len(photos) > 1:
        print(f"mddnet: {len(failures)} of the inputs failed, see above", file=sys.stderr)
    return 1 if failures else 0


@dataclass(frozen=True, slots=True)
class _Item:
    """A photo or a frame of a video: how it is called, and what gives it; what was done before is not even read."""

    name: str
    stem: str
    read: Callable[[], Photo]
    ranges: VideoRanges | None = None


@dataclass(frozen=True, slots=True)
class _Job:
    """A photo or frame to predict; or one that was done before (``facts``); or an input that fails (``error``).

    ``beside_others`` is false for a photo so large that nothing else should be in memory with it.
    """

    path: Path
    item: _Item | None
    facts: Path | None = None
    error: Exception | None = None
    beside_others: bool = True


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads; what they have not begun is not done once the block was left by an error or Ctrl-C."""
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _print_from_cluster(address: str, job: ClusterJob, photos: Sequence[Path], failures: list[str], json: bool) -> int:
    """Predict on a Ray cluster and say what comes of it; the exit code."""
    from contextlib import closing

    from mddnet.cli.predict_on_cluster import predict_on_cluster

    results = predict_on_cluster(address, job, [path.resolve() for path in photos])
    with closing(results), _Progress(sum(_expected(path) for path in photos)) as progress:
        for line in (line for lines in results for line in lines):
            if line.facts is None:
                failures.append(line.text)
                print(f"mddnet: {line.text}", file=sys.stderr)
            if json:
                error = line.text if line.facts is None else None
                print(_json_line(line.path, line.facts, error), flush=True)
            elif line.facts is not None:
                print(line.text, flush=True)
            progress.step()
    if failures and len(photos) > 1:
        print(f"mddnet: {len(failures)} of the inputs failed, see above", file=sys.stderr)
    return 1 if failures else 0


def _jobs(
    photos: Sequence[Path],
    lens: Lens,
    linear: bool,
    max_pixels: int | None,
    predictor: Model,
    done_before: Callable[[Path, str], Path | None],
    given_up: set[Path],
) -> Iterator[_Job]:
    """What is to be done, in order."""
    from mddnet.errors import MddnetError

    for path in photos:
        try:
            for item in _items(path, lens, linear, max_pixels, predictor):
                if path in given_up:
                    break
                facts = done_before(path, item.stem)
                small = facts is not None or item.ranges is not None or not _is_large(path)
                yield _Job(path, item, facts, beside_others=small)
        except (MddnetError, MemoryError) as error:
            yield _Job(path, None, error=error)


def _is_large(path: Path) -> bool:
    """Whether a photo has more than 40 megapixels, by its header; or a file of 40 MB, where Pillow cannot tell."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.width * image.height > LARGE_PIXELS
    except Exception:
        # Pillow raises whatever a damaged header leads it to; a missing file is named when it is read.
        return path.is_file() and path.stat().st_size > LARGE_PIXELS


def _items(path: Path, lens: Lens, linear: bool, max_pixels: int | None, predictor: Model) -> Iterator[_Item]:
    from mddnet.photo.reader import read_photo
    from mddnet.photo.video import frame_stem, is_video, video_frames
    from mddnet.predict.video import VideoRanges

    if not is_video(path):
        yield _Item(str(path), path.stem, partial(read_photo, path, lens, max_pixels=max_pixels, linear=linear))
        return
    ranges = VideoRanges(predictor, path, lens, max_pixels)
    for index, frame in enumerate(video_frames(path, lens, max_pixels=max_pixels)):
        stem = frame_stem(path, index)
        yield _Item(f"{path}, {stem}", stem, partial(_itself, frame), ranges)


def _itself(frame: Photo) -> Photo:
    return frame


def _expected(path: Path) -> int:
    """How many items an input will be; a video that cannot be read fails later, by name."""
    from mddnet.errors import ImageError
    from mddnet.photo.video import frame_count, is_video

    try:
        return frame_count(path) if is_video(path) else 1
    except ImageError:
        return 1


def find_photos(paths: list[str]) -> tuple[list[Path], list[str]]:
    """The photos that paths, folders and patterns stand for, each once and in order; and what stands for none."""
    import glob

    from mddnet.photo.raw import RAW_SUFFIXES
    from mddnet.predict.output import is_output_name

    found: dict[Path, Path] = {}
    failures = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            members = [
                member
                for member in sorted(path.iterdir())
                if member.suffix.lower() in (*PHOTO_SUFFIXES, *RAW_SUFFIXES)
                and not member.name.startswith(".")
                and not is_output_name(member.name)
                and member.is_file()
            ]
            # A camera that stores both gives one photo: its own JPEG is preferred to what LibRaw makes of the raw file.
            developed = {member.stem for member in members if member.suffix.lower() in PHOTO_SUFFIXES}
            members = [
                member for member in members if member.suffix.lower() in PHOTO_SUFFIXES or member.stem not in developed
            ]
            failure = f"{given}: no photo in this folder; expected {', '.join(PHOTO_SUFFIXES)}"
        elif not path.exists() and glob.has_magic(given):
            members = [Path(name) for name in sorted(glob.glob(given, recursive=True)) if Path(name).is_file()]
            failure = f"{given}: no file matches this pattern"
        else:
            members, failure = [path], ""
        if not members:
            failures.append(failure)
        for member in members:
            found.setdefault(member.resolve(), member)
    return list(found.values()), failures


def summary(name: str, prediction: PredictedPhoto, files: dict[str, Path]) -> str:
    """What came out, in a line, and a line for each note."""
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
    what = f"{width} x {height} px, inverse depth [{prediction.unit}], {where}"
    line = f"{name}: {what} -> {files['facts'].with_suffix('.*')} ({len(files)} files)"
    return "\n".join([line, *(f"  note: {note}" for note in prediction.notes)])


def _named(path: Path, error: Exception) -> str:
    reason = str(error) or type(error).__name__
    return reason if reason.startswith(str(path)) else f"{path}: {reason}"


def _done_before(
    path: Path, stem: str, out: Path, model_dir: ModelDir, lens: Lens, formats: Sequence[SaveFormat], fine: bool
) -> Path | None:
    """The facts of a photo's or frame's results, if made of this content by this model with every lens fact given."""
    from dataclasses import asdict

    from mddnet.predict.output import content_of, find_saved, first_file

    facts = find_saved(out, path, stem)
    if facts is None or not facts.complete or (facts.model, facts.model_version) != (model_dir.name, model_dir.version):
        return None
    if facts.fine != fine or facts.content is None or facts.content != content_of(path):
        return None
    if not all((out / first_file(facts.path.stem, name)).exists() for name in formats):
        return None
    used = asdict(facts.lens)
    same = all(value is None or used[name] == value for name, value in asdict(lens).items())
    return facts.path if same else None


def _listed(list_file: str | None) -> list[str]:
    """The lines of a text file, or of standard input, without empty ones."""
    if list_file is None:
        return []
    text = sys.stdin.read() if list_file == "-" else Path(list_file).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip()]


def _json_line(path: Path | None = None, facts: Path | None = None, error: str | None = None) -> str:
    """One photo's outcome as one line of JSON: what its facts file says, with the folder of the files, or its error."""
    import json

    line: dict[str, object] = {"photo": None if path is None else str(path)}
    if error is not None:
        line["error"] = error
    if facts is not None:
        line |= {"folder": str(facts.parent), "facts": facts.name, **json.loads(facts.read_text(encoding="utf-8"))}
    return json.dumps(line, ensure_ascii=False)


class _Progress:
    """A bar with rate and time left on stderr, where more than one photo is done and somebody watches."""

    def __init__(self, total: int) -> None:
        self._bar = None
        if total > 1 and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("predict"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.speed:.2f} photos/s"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                # Through the bar's console only if it is the same terminal: a pipe gets its lines directly.
                redirect_stdout=sys.stdout.isatty(),
            )
            self._task = self._bar.add_task("predict", total=total)

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self) -> None:
        """One photo more is done."""
        if self._bar is not None:
            self._bar.advance(self._task)
