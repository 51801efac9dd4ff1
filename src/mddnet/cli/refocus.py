"""``mddnet refocus``: photos as another aperture or another plane of focus would have shown them."""

from __future__ import annotations

import sys
from collections import Counter
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from mddnet.cli.flags import Count, Flag, OutFolder, Positive, WrongUsage, pixels_of
from mddnet.cli.predict import DEFAULT_OUT
from mddnet.cli.progress import with_progress

if TYPE_CHECKING:
    from mddnet.predict.prediction import Prediction
    from mddnet.predict.refocus import RefocusSettings
    from mddnet.types import Photo

SWEEP_FRAMES, SWEEP_RATE = 72, 24


def refocus(
    paths: list[str] | None = None,
    /,
    *,
    aperture: Positive | None = None,
    strength: Positive | None = None,
    focus: str | None = None,
    f_number: Positive | None = None,
    blades: int = 0,
    cat_eye: float = 0.0,
    sweep: Path | None = None,
    out: OutFolder = DEFAULT_OUT,
    format: str = "png",
    model: str = "small",
    threads: Count | None = None,
    linear: Flag = False,
    refine: Flag = False,
    max_megapixels: Positive | None = None,
) -> int:
    """Give photos more or less blur, or another plane of focus, by the lens law.

    The result of cup.jpg is cup.refocused.png; an earlier one is replaced.

    Args:
        paths: Photos, folders of photos, or patterns such as "shots/*.jpg". The highlights of 16-bit, raw and EXR files
            keep their brightness.
        aperture: F-number of the result, such as 1.4; needs that of the photo, from EXIF or --f-number.
        strength: Factor of the blur instead of --aperture, 0.05 to 20; 2 doubles it, 1 is the default with --focus.
        focus: Point to focus on: x,y as fractions of width and height from the top left. By default, the focus stays.
        f_number: F-number of the photo; replaces EXIF.
        blades: Number of aperture blades, 4 or more, for polygons instead of discs.
        cat_eye: Cat's eye in the corners of the photo, 0 (none) to below 1: the blur is clipped by the rim of the lens.
        sweep: Write a film to this .mp4 file, focused from near to far in 3 seconds, instead of a picture (one photo).
        out: Folder for the results; created if missing. Without it, mddnet_out in the current folder.
        format: png or jpg (8 bits), or tiff (16 bits).
        model: A shipped model, a model folder or a .zip of one, or hf://owner/name (extra hub).
        threads: Largest number of processor cores of the network.
        linear: Decode the photos as linear light, not as sRGB (16-bit and float TIFF).
        refine: Add a second pass at twice the resolution; improves blur below 4 px and takes five times as long.
        max_megapixels: Reject larger photos by their header. The default is 200, or the environment variable
            MDDNET_MAX_MEGAPIXELS.
    """
    from mddnet.errors import MddnetError, ModelError
    from mddnet.predict.film import require_film
    from mddnet.predict.folder import error_text, find_photos
    from mddnet.predict.predictor import load
    from mddnet.predict.refocus import PICTURE_FORMATS, RefocusSettings, require_renderer

    if not paths:
        raise WrongUsage("no photo; expected photos, folders or patterns")
    if all(given is None for given in (aperture, strength, focus, sweep)):
        raise WrongUsage("nothing to change; expected --aperture, --strength, --focus or --sweep")
    try:
        settings = RefocusSettings(aperture, strength, _point(focus), blades, cat_eye)
    except MddnetError as error:
        raise WrongUsage(str(error)) from error
    if format not in PICTURE_FORMATS:
        raise WrongUsage(f"--format {format}: expected one of {', '.join(PICTURE_FORMATS)}")
    photos, failures = find_photos(paths)
    if sweep is not None:
        _check_sweep(sweep, focus, len(photos) + len(failures))
        require_film()
    require_renderer()
    for failure in failures:
        print(f"mddnet: {failure}", file=sys.stderr)
    targets = [sweep] if sweep is not None else _targets(photos, out, format)
    loaded = cache(partial(load, model, threads))  # for the first photo that can be read
    failed = len(failures)
    for path, target in zip(photos, targets, strict=False):
        try:
            photo = _read(path, f_number, linear, pixels_of(max_megapixels))
            settings.strength_for(photo.lens)  # an unknown f-number is an error before the network runs
            _write(loaded().predict(photo, refine=refine), settings, path.name, target, sweep is not None)
        except ModelError:
            raise  # of no photo
        except (MddnetError, MemoryError) as error:
            print(f"mddnet: {error_text(path, error)}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _point(text: str | None) -> tuple[float, float] | None:
    """The point of ``--focus``; WrongUsage for another text."""
    if text is None:
        return None
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise WrongUsage(f"--focus {text}: expected x,y as fractions of width and height, such as 0.42,0.31") from None
    return x, y


def _check_sweep(sweep: Path, focus: str | None, photos: int) -> None:
    """WrongUsage for a film that cannot be written."""
    if focus is not None:
        raise WrongUsage("--sweep and --focus: expected one of them, since the film moves the focus")
    if sweep.suffix.lower() != ".mp4" or sweep.is_dir():
        raise WrongUsage(f"--sweep {sweep}: expected a file name that ends in .mp4")
    if not sweep.absolute().parent.is_dir():
        raise WrongUsage(f"--sweep {sweep}: no such folder; create it first")
    if photos != 1:
        raise WrongUsage(f"--sweep with {photos} photos; expected one")


def _targets(photos: list[Path], out: Path, suffix: str) -> list[Path]:
    """The files of the results; of photos with one name, the later ones are numbered."""
    counts, targets = Counter[str](), list[Path]()
    for path in photos:
        counts[path.stem] += 1
        number = f"_{counts[path.stem]}" if counts[path.stem] > 1 else ""
        targets.append(out / f"{path.stem}{number}.refocused.{suffix}")
    return targets


def _read(path: Path, f_number: float | None, linear: bool, max_pixels: int | None) -> Photo:
    from dataclasses import replace

    from mddnet.errors import ImageError
    from mddnet.photo.lens_facts import replaced_lens
    from mddnet.photo.reader import read_photo
    from mddnet.photo.video import is_video
    from mddnet.types import Lens

    if is_video(path):
        raise ImageError(f"{path}: a video; expected a photo: save a frame as an image")
    photo = read_photo(path, max_pixels=max_pixels, linear=linear)
    return replace(photo, lens=replaced_lens(photo.lens, Lens(f_number=f_number)))


def _write(prediction: Prediction, settings: RefocusSettings, name: str, target: Path, is_film: bool) -> None:
    """Write a picture or film, and print what it is."""
    from mddnet.io.atomic import atomic_write
    from mddnet.io.part_file import writing_into
    from mddnet.predict.film import write_film
    from mddnet.predict.refocus import focus_sweep, refocus

    height, width = prediction.size
    strength = settings.strength_for(prediction.lens)
    notes = prediction.notes
    if is_film:
        frames = focus_sweep(prediction, settings, SWEEP_FRAMES)
        shown = with_progress("film", frames, SWEEP_FRAMES)
        atomic_write(target, lambda stream: write_film(stream, shown, SWEEP_RATE))
        what = f"focused from near to far in {SWEEP_FRAMES / SWEEP_RATE:g} s"
    else:
        result = refocus(prediction, settings)
        with writing_into(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
        result.save(target)
        notes += result.notes
        what = "focus as in the photo" if settings.focus is None else "focused at {:g}, {:g}".format(*settings.focus)
    print(f"{name}: {width} x {height} px, {strength:.3g} times the blur, {what} -> {target}")
    for note in notes:
        print(f"  note: {note}", flush=True)
