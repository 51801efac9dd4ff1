"""``mddnet predict``: depth and defocus of photos, written to a folder."""

from __future__ import annotations

import codecs
import json as jsonlib
import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from mddnet.cli.examples import EXAMPLES
from mddnet.cli.flags import (
    NO_LENS,
    Count,
    Flag,
    LensFlags,
    OutFolder,
    Positive,
    WrongUsage,
    formats_of_flag,
    pixels_of,
)
from mddnet.cli.progress import with_progress
from mddnet.predict.device import Device

DEFAULT_OUT = Path("mddnet_out")

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from mddnet.predict.depth_prior import Priors
    from mddnet.predict.folder import Outcome, Settings


def predict(
    paths: list[str] | None = None,
    /,
    *,
    list_file: Annotated[str | None, Parameter(name="--list", allow_leading_hyphen=True)] = None,
    out: OutFolder = DEFAULT_OUT,
    model: str = "small",
    lens_flags: LensFlags = NO_LENS,
    focus_m: float | None = None,
    threads: Count | None = None,
    device: Device = "auto",
    formats: str = "tiff",
    full: Flag = False,
    maps_at: Literal["photo", "network"] = "photo",
    preview_only: Flag = False,
    linear: Flag = False,
    refine: Flag = False,
    depth_prior: str | None = None,
    max_megapixels: Positive | None = None,
    recursive: Flag = False,
    resume: Flag = False,
    json: Flag = False,
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative="")] = False,
    ray: str | None = None,
) -> int:
    """Predict depth and defocus of photos, and write maps, preview and facts into a folder.

    The results of cup.jpg are cup.preview.png, cup.inv_depth.tiff, cup.signed_defocus_px.tiff, cup.confidence.tiff,
    cup.depth_m.tiff (if the lens and its focus distance are known) and cup.json. A video has the same results for every
    frame, clip.000000.inv_depth.tiff and so on for clip.mp4, and a film of its previews, clip.preview.mp4.

    Args:
        paths: Photos, videos, folders of photos, or patterns such as "shots/*.jpg". HEIC, camera raw, EXR and videos
            need the extra "formats".
        list_file: Text file with further paths, one per line, in UTF-8 or UTF-16; "-" reads standard input.
        out: Folder for the results; created if missing. Without it, mddnet_out in the current folder.
        model: A shipped model, a model folder or a .zip of one, or hf://owner/name (extra hub).
        focus_m: Distance of the plane of focus from the sensor in metres (inf for infinity); replaces EXIF.
        threads: Largest number of processor cores.
        device: Where the network runs: cpu, cuda (an NVIDIA GPU; needs the package onnxruntime-gpu instead of
            onnxruntime), openvino (needs onnxruntime-openvino), or auto: a GPU if the installed ONNX Runtime can use
            one, else the CPU.
        formats: Formats, separated by commas. Maps: tiff (float32, rounded to a tenth of its error and deflated), png
            (16 bits, with its scale), npy (float32), exr (float32, extra "formats"). Derived: mask (diameter of the
            blur as a 16-bit TIFF), depth (16-bit PNG, near is white), ply and glb (point cloud), mesh (textured
            surface, GLB), stereo (side-by-side pair) and anaglyph (red-cyan), both JPEG, parallax (clip of 3 seconds
            with a moving camera, MP4).
        full: Write the exact float32 values into TIFF files: about seven times as large.
        maps_at: Size of the maps: that of the photo, or the smaller one of the network's maps. The blur is in pixels of
            the photo in both.
        preview_only: Write the preview and the facts, no maps.
        linear: Decode the photos as linear light, not as sRGB (16-bit and float TIFF).
        refine: Add a second pass at twice the resolution; improves blur below 4 px and takes five times as long.
        depth_prior: Depth by another network or tool, fused with the blur in place of the depth of our network: a depth
            map (larger is nearer; metres if the name has "depth_m"), a folder of them (cup.depth.png for cup.jpg), an
            ONNX file with its description, or a depth network of transformers by its folder or hub name, such as
            depth-anything/Depth-Anything-V2-Small-hf (extra prior).
        max_megapixels: Reject larger photos by their header. The default is 200, or the environment variable
            MDDNET_MAX_MEGAPIXELS. A megapixel takes 12 MB of memory, so a small file may take a lot of memory.
        recursive: Include the subfolders of folders.
        resume: Skip photos with complete and undamaged results of the same content, model, lens and formats.
        json: Print one line of JSON for each photo instead of text: its facts, or its error.
        verbose: Print the numbers of the lens law, too.
        ray: Address of a Ray cluster for the prediction, such as HOST:6379 or auto (extra ray). Photos, model and OUT
            must have the same paths on all machines; --threads is the number of cores per photo, 1 by default.
    """
    one = paths is not None and len(paths) == 1 and list_file is None and ray is None and os.path.isfile(paths[0])
    session = _opened_meanwhile(model, device, threads) if one else None
    from mddnet.predict.folder import Settings, expected_items, find_photos
    from mddnet.predict.output import MapDetail

    if not paths and list_file is None:
        raise WrongUsage(f"no photo; expected photos, folders or patterns, or --list\n{EXAMPLES}")
    lens = lens_flags.lens(focus_m)
    if depth_prior is not None and ray is not None:
        raise WrongUsage("--depth-prior and --ray: expected one of them")
    priors: Priors | None = None
    if depth_prior is not None:
        from mddnet.cli.depth_prior import priors_of

        priors = priors_of(depth_prior, threads)
    if preview_only and (formats, full, maps_at) != ("tiff", False, "photo"):
        raise WrongUsage("--preview-only: no maps are written; expected no --formats, --full or --maps-at with it")
    chosen = formats_of_flag("preview" if preview_only else formats)
    detail, max_pixels = MapDetail(full, maps_at), pixels_of(max_megapixels)
    settings = Settings(out, chosen, lens, linear, max_pixels, detail, refine, priors, resume, verbose)
    names = [*(paths or []), *_listed(list_file)]

    photos, failures = find_photos(names, recursive)
    count = sum(expected_items(path) for path in photos)
    if ray is None:
        outcomes = _predict_locally(model, photos, settings, threads, device, count, session)
    else:
        outcomes = _predict_on_ray(ray, model, photos, settings, threads or 1, device)
    failed = sum(_reported(json, None, failure) for failure in failures)
    failed += sum(_reported(json, o.path, o.text, o.facts) for o in with_progress("predict", outcomes, count))
    if failed and len(photos) > 1:
        print(f"mddnet: {failed} of the inputs failed, see above", file=sys.stderr)
    return 1 if failed else 0


def _listed(list_file: str | None) -> list[str]:
    """The non-empty lines of a text file or of standard input; WrongUsage if it cannot be read.

    Names that are not UTF-8 are taken as the bytes that they are. PowerShell writes UTF-16, with a byte order mark.
    """
    if list_file is None:
        return []
    try:
        if list_file == "-":
            data = b"" if sys.stdin is None else sys.stdin.buffer.read()
        else:
            data = Path(list_file).read_bytes()
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = data.decode("utf-16")
        else:
            text = data.decode("utf-8-sig", "surrogateescape")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"--list {list_file}: {error}; expected a text file") from error
    return [line for line in re.split(r"\r?\n", text) if line.strip()]


def _predict_locally(
    model: str,
    photos: list[Path],
    settings: Settings,
    threads: int | None,
    device: Device,
    count: int,
    session: Future[InferenceSession] | None,
) -> Iterator[Outcome]:
    from mddnet.cores import usable_cores
    from mddnet.predict.folder import MAX_WORKERS, MAX_WRITERS, predict_files
    from mddnet.predict.model_dir import open_model_dir
    from mddnet.predict.predictor import Model

    cores = threads or usable_cores()
    workers = max(1, min(cores, count, MAX_WORKERS))
    folder = open_model_dir(model)
    if workers == 1:
        loaded = Model(folder, threads, device=device, session=session)
        settings = replace(settings, writers=min(cores, MAX_WRITERS))
    else:
        # a run uses the core of its worker and the cores without a worker
        loaded = Model(folder, cores - workers + 1, device=device, shares_cores=True)
    return predict_files(loaded, photos, settings, workers)


def _opened_meanwhile(model: str, device: Device, threads: int | None) -> Future[InferenceSession] | None:
    """The session of one photo, which a thread opens while the rest is imported; None for a model elsewhere."""
    from mddnet.model.folder import GRAPH_FILE, shipped_models, shipped_root
    from mddnet.predict.runtime import open_session

    graph = (shipped_root() / model if model in shipped_models() else Path(model)) / GRAPH_FILE
    if not graph.is_file():
        return None  # in an archive, on a hub, or missing
    pool = ThreadPoolExecutor(1)
    session = pool.submit(open_session, graph, device, threads)
    pool.shutdown(wait=False)
    return session


def _predict_on_ray(
    address: str, model: str, photos: list[Path], settings: Settings, threads: int, device: Device
) -> Iterator[Outcome]:
    from mddnet.model.folder import shipped_models
    from mddnet.predict.folder import predict_on_ray

    is_name = not Path(model).exists() or model in shipped_models()
    absolute = model if is_name else str(Path(model).resolve())
    settings = replace(settings, out=settings.out.resolve())
    return predict_on_ray(address, absolute, [path.resolve() for path in photos], settings, threads, device)


def _reported(json: bool, path: Path | None, text: str, facts: Path | None = None) -> bool:
    """Print a result, as text or as one line of JSON: its facts and folder, or its error; True for an error."""
    line: dict[str, object] = {"photo": None if path is None else str(path)}
    if facts is not None and json:
        try:
            saved = jsonlib.loads(facts.read_text(encoding="utf-8"))
            line |= {"folder": str(facts.parent), "facts": facts.name, **saved}
        except (OSError, ValueError) as error:
            text, facts = f"{facts}: removed or changed by others ({error}); predict the photo again", None
    if facts is None:
        print(f"mddnet: {text}", file=sys.stderr)
        line["error"] = text
    if json:
        print(jsonlib.dumps(line), flush=True)  # in ASCII: any terminal can print it, and any reader gets the name back
    elif facts is not None:
        print(text, flush=True)
    return facts is None
