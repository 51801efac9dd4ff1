"""``mddnet stack`` and ``mddnet fuse``: depth and an all-in-focus image from several photos of one scene."""

from __future__ import annotations

import json as jsonlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from mddnet.cli.flags import NO_LENS, Count, Flag, LensFlags, OutFolder, WrongUsage, formats_of_flag
from mddnet.cli.predict import DEFAULT_OUT

if TYPE_CHECKING:
    from mddnet.focus_stack.result import StackResult


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class StackFlags:
    """Flags of both commands.

    Attributes:
        out: Folder for the results; created if missing. It also holds temporary files while the command runs.
        name: Name of the results; by default that of the folder of the photos, of the video, or of both photos
            (near_far).
        focus_m: Distances of the planes of focus from the sensor in metres, in the order of the photos (inf for
            infinity), separated by commas; replaces EXIF.
        order: Order of the photos as given; by default it is found.
        formats: Formats, separated by commas. Maps: tiff (float32), png (16 bits, with its scale), npy (float32), exr
            (float32, extra "formats"). Point clouds: ply and glb.
        defocus: Write the signed defocus map of every frame.
        threads: Largest number of processor cores.
        json: Print the facts as one line of JSON instead of text.
    """

    out: OutFolder = DEFAULT_OUT
    name: str | None = None
    focus_m: str | None = None
    order: Literal["auto", "near-to-far", "far-to-near"] = "auto"
    lens: LensFlags = NO_LENS
    formats: str = "tiff,ply"
    defocus: bool = True
    threads: Count | None = None
    json: Flag = False


def stack(paths: list[str], /, *, flags: StackFlags = StackFlags()) -> int:
    """Measure depth, defocus and an all-in-focus image from a focal stack: photos with different focus.

    Args:
        paths: Two or more photos, a folder of them, patterns, or one video of a focus sweep (extra "formats").
    """
    return _run(paths, flags, flags.name or _name(paths))


def fuse(first: str, second: str, /, *, flags: StackFlags = StackFlags()) -> int:
    """Do the same with two photos, one focused near and one far.

    Args:
        first: A photo.
        second: Another photo of the same scene from the same viewpoint.
    """
    return _run([first, second], flags, flags.name or f"{Path(first).stem}_{Path(second).stem}")


def _run(paths: list[str], flags: StackFlags, name: str) -> int:
    distances = None if flags.focus_m is None else _distances(flags.focus_m)
    lens = flags.lens.lens()
    formats = formats_of_flag(flags.formats)
    if "mask" in formats:
        raise WrongUsage("--formats mask: expected maps or point clouds; a mask belongs to one photo")
    if Path(name).name != name or name in {".", ".."}:
        raise WrongUsage(f"--name {name}: expected a plain name without a folder")

    # Imported after the flags are checked, so that usage errors are reported at once.
    from mddnet.cli.progress import step_bar
    from mddnet.focus_stack import stack as measure
    from mddnet.io.part_file import writing_into

    with writing_into(flags.out):
        flags.out.mkdir(parents=True, exist_ok=True)
    with step_bar() as step:
        result = measure(
            paths, lens=lens, focus_m=distances, order=flags.order, threads=flags.threads, scratch=flags.out, step=step
        )
        files = result.save(flags.out, name, formats, flags.defocus)
    _print(result, files, flags.json)
    return 1 if result.left_out else 0


def _distances(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(value > 0 for value in values):
        raise WrongUsage(f"--focus-m {text}: expected distances in metres, such as 0.30,0.42,inf")
    return values


def _name(paths: list[str]) -> str:
    """Name of the folder, of the video, or of the folder of the first photo."""
    from mddnet.photo.video import is_video

    first = Path(paths[0] if paths else ".").resolve()
    if len(paths) == 1 and is_video(first):
        return first.stem
    return (first if first.is_dir() else first.parent).name or "stack"


def _print(result: StackResult, files: dict[str, Path], json: bool) -> None:
    if json:
        facts = jsonlib.loads(files["facts"].read_text(encoding="utf-8"))
        print(jsonlib.dumps({"folder": str(files["facts"].parent), "facts": files["facts"].name, **facts}))
    else:
        height, width = result.size
        what = f"{len(result.names)} frames, {width} x {height} px, inverse depth [{result.unit}]"
        print(
            f"{what}, from {result.names[0]} (near) to {result.names[-1]} (far) -> {files['facts'].with_suffix('.*')}"
        )
        for note in result.notes:
            print(f"  note: {note}")
    for frame in result.left_out:
        print(f"mddnet: {frame.name}: left out: {frame.reason}", file=sys.stderr)
