"""Measure the speed of mddnet and baselines: ``make bench``, or ``python benchmarks/speed.py -o FILE.md``.

Every contender is timed once per round, in turn and after a call of its own, so that other load of the machine affects
all of them. A ratio is the median of the ratios within each round. The numbers are also written into a JSON file of the
same name. It needs a system with ``posix_spawn`` and ``wait4``: Linux or macOS.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import onnxruntime
from cyclopts import App, Parameter
from PIL import Image

import mddnet
from mddnet.evaluate.provenance import machine
from mddnet.io.atomic import atomic_write_text
from mddnet.predict.model_dir import open_model_dir
from mddnet.predict.output import save
from mddnet.predict.predictor import Model
from mddnet.predict.runtime import open_session

OUR_SIZE = (384, 512)
PHOTO_SIZE = (3000, 4000)
SHIPPED = "ONNX Runtime"
OURS = "mddnet, both maps, 384 x 512"
DEPTH_ANYTHING, DMENET = "Depth Anything", "DMENet"
"""Starts of the names of the baselines that together give what mddnet gives."""
ON_ONE_CORE = ("decode", "the same on one core", "encode: five maps, preview, facts")
"""The parts of a prediction when one photo per core is processed."""
FOLDER_ROUNDS = 3
ONE_MEGAPIXEL = (1000, 1000)
ONE, TWELVE = "`mddnet predict` of one JPEG of 1000 x 1000", "`mddnet predict` of one JPEG of 4000 x 3000"
MEMORY_MEGAPIXELS = {1: (1000, 1000), 24: (4000, 6000), 100: (8166, 12250), 200: (12247, 16330)}
MAC = sys.platform == "darwin"  # its ru_maxrss counts bytes
Call = Callable[[], object]


@dataclass
class Contender:
    """One network in one runtime."""

    name: str
    runtime: str
    gives: str
    parameters: float
    call: Call
    milliseconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    def over(self, other: Contender) -> float:
        """Median of the ratios within each round."""
        return statistics.median(a / b for a, b in zip(self.milliseconds, other.milliseconds, strict=True))


def onnx_call(path: Path, shape: tuple[int, ...], threads: int) -> Call:
    """A run of ONNX Runtime on random pixels."""
    session = open_session(path, "cpu", threads)
    feed = {session.get_inputs()[0].name: np.random.default_rng(0).random(shape, dtype=np.float32)}
    return lambda: session.run(None, feed)


def openvino_calls(path: Path, shape: tuple[int, ...], threads: int) -> dict[str, Call]:
    """Runs of OpenVINO by row, in float32 and, if the processor supports it, bfloat16; empty without OpenVINO."""
    try:
        import openvino
    except ImportError:
        return {}
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape(list(shape))
    pixels = np.random.default_rng(0).random(shape, dtype=np.float32)
    precisions = {"OpenVINO": "f32"}
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        precisions["OpenVINO, bfloat16"] = "bf16"
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = {
        name: core.compile_model(model, "CPU", {**settings, "INFERENCE_PRECISION_HINT": precision})
        for name, precision in precisions.items()
    }
    return {name: partial(one, pixels) for name, one in compiled.items()}


def graph_calls(path: Path, shape: tuple[int, ...], threads: int) -> dict[str, Call]:
    """Runs of an ONNX graph in every installed runtime, by row."""
    return {SHIPPED: onnx_call(path, shape, threads), **openvino_calls(path, shape, threads)}


def contenders(model: Path, threads: int, folder: Path) -> list[Contender]:
    """Our network and the baselines, in every installed runtime."""
    import torch
    from baseline_networks import BASELINES

    torch.set_num_threads(threads)
    found: list[Contender] = []

    def add(name: str, gives: str, parameters: float, calls: dict[str, Call]) -> None:
        found.extend(Contender(name, runtime, gives, parameters, call) for runtime, call in calls.items())

    graph = open_model_dir(model).graph
    shape = (1, 3, *OUR_SIZE)
    megas = sum(math.prod(weights.dims) for weights in onnx.load(graph).graph.initializer) / 1e6
    add(OURS, "depth, defocus, sign", megas, graph_calls(graph, shape, threads))
    for i, baseline in enumerate(BASELINES):
        network = baseline.build().eval()
        parameters = sum(p.numel() for p in network.parameters()) / 1e6
        image = torch.rand(1, 3, baseline.height, baseline.width)
        path = folder / f"{i}.onnx"
        with torch.inference_mode():
            network(image)
        torch.onnx.export(network, (image,), str(path), input_names=["image"], opset_version=18, dynamo=False)

        def eager(network: torch.nn.Module = network, image: torch.Tensor = image) -> object:
            with torch.inference_mode():
                return network(image)

        calls = {"PyTorch": eager, **graph_calls(path, tuple(image.shape), threads)}
        add(baseline.name, baseline.gives, parameters, calls)
    return found


def timed(call: Call) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def photo_file(folder: Path, seed: int, size: tuple[int, int] = PHOTO_SIZE) -> Path:
    """A realistic JPEG: an enlarged photo of scikit-image with sensor noise."""
    from skimage import data

    height, width = size
    random = np.random.default_rng(seed)
    picture = Image.fromarray(data.coffee()).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(picture, dtype=np.int16) + random.integers(-6, 7, (height, width, 1), dtype=np.int16)
    path = folder / f"photo_{seed:03d}.jpg"
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(path, quality=90)
    return path


@dataclass(frozen=True)
class Used:
    """What a process needed."""

    seconds: float  # from its start to its end
    peak_mb: float  # largest resident memory


LAUNCHER = """
import os, sys, time
start = time.perf_counter()
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
process = os.posix_spawn(sys.executable, sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(process, 0)
print(os.waitstatus_to_exitcode(status), time.perf_counter() - start, usage.ru_maxrss)
"""
"""A small process that starts the command: on Linux a child's ``ru_maxrss`` begins with the memory of its parent."""


def predicted(photos: list[Path], out: Path, model: Path, threads: int) -> Used:
    """``mddnet predict`` in a new process, with byte code as an installation has it."""
    command = [sys.executable, "-m", "mddnet", "predict", *map(str, photos), "-o", str(out)]
    command += ["--model", str(model), "--threads", str(threads)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    launched = [sys.executable, "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(launched, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    code, seconds, peak = done.stdout.split()
    if code != "0":
        raise SystemExit(f"{' '.join(command[:4])} ... ended with {code}")
    return Used(float(seconds), float(peak) / (1e6 if MAC else 1e3))


def parts_of_predict(photo: Path, model: Model, alone: Model, out: Path, rounds: int) -> dict[str, float]:
    """Median milliseconds of each part of predicting one photo, in one process; ``alone`` uses one core."""
    pixels = mddnet.read_photo(photo)
    prediction = model.predict(pixels)
    calls: dict[str, Call] = {
        "decode": lambda: mddnet.read_photo(photo),
        "network": lambda: model.network_maps(pixels.pixels),
        "network, lens law, signs, confidence": lambda: model.predict(pixels),
        "the same on one core": lambda: alone.predict(pixels),
        "encode: five maps, preview, facts": lambda: save(prediction, out),
    }
    return {name: statistics.median(timed(call) for _ in range(rounds)) for name, call in calls.items()}


def fastest(found: list[Contender]) -> dict[str, Contender]:
    """Each network in its fastest runtime."""
    names = dict.fromkeys(one.name for one in found)
    return {name: min((one for one in found if one.name == name), key=lambda one: one.median) for name in names}


def ratios(found: list[Contender]) -> dict[str, float]:
    """Time of each network over that of ours, both in their fastest runtime."""
    best = fastest(found)
    return {name: one.over(best[OURS]) for name, one in best.items()}


def shipped_ratios(found: list[Contender]) -> dict[str, float]:
    """Time of each network over that of ours, both in the runtime of the base install."""
    same = {one.name: one for one in found if one.runtime == SHIPPED}
    return {name: one.over(same[OURS]) for name, one in same.items()}


def _baseline(over: dict[str, float], start: str) -> str:
    return next(name for name in over if name.startswith(start))


def with_dmenet(over: dict[str, float]) -> float:
    """Time of a depth and a defocus network, Depth Anything V2 Small and a network like DMENet, over that of ours."""
    return over[_baseline(over, DEPTH_ANYTHING)] + over[_baseline(over, DMENET)]


def network_numbers(found: list[Contender]) -> dict[str, object]:
    """What the JSON file says of the networks."""
    over, in_shipped = ratios(found), shipped_ratios(found)
    return {
        "over": over,
        "over_in_shipped": in_shipped,
        "with_dmenet": with_dmenet(over),
        "with_dmenet_in_shipped": with_dmenet(in_shipped),
    }


def table(found: list[Contender]) -> list[str]:
    """The rows of the networks."""
    best, over, ours = fastest(found), ratios(found), {one.runtime: one for one in found if one.name == OURS}
    lines = [
        "| network | gives | million parameters | runtime | ms | times ours, same runtime | times ours, best of each |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        same = f"{one.over(ours[one.runtime]):.2f}" if one.runtime in ours else ""
        factor = f"{over[one.name]:.2f}" if one is best[one.name] else ""
        cells = (one.name, one.gives, f"{one.parameters:.1f}", one.runtime, f"{one.median:.0f}", same, factor)
        lines.append(f"| {' | '.join(cells)} |")
    depth = _baseline(over, DEPTH_ANYTHING)
    shipped = shipped_ratios(found)
    lines += [
        "",
        f"In {SHIPPED}, which mddnet comes with, Depth Anything V2 Small at its usual input takes",
        f"{shipped[depth]:.1f} times as long as both maps of mddnet; with a network like DMENet, "
        f"{with_dmenet(shipped):.1f} times as long. With",
        f"each network in its fastest runtime, it is {over[depth]:.1f} and {with_dmenet(over):.1f} times.",
    ]
    return lines


def machine_and_runtimes(threads: int) -> str:
    """Processor, cores, runtimes."""
    import torch

    try:
        import openvino

        third = f"OpenVINO {openvino.__version__.partition('-')[0]}"
    except ImportError:
        third = "no OpenVINO"
    return (
        f"{machine()}, {threads} threads; "
        f"ONNX Runtime {onnxruntime.__version__}, PyTorch {torch.__version__.partition('+')[0]}, {third}"
    )


def network_times(model: Path, threads: int, rounds: int, folder: Path) -> list[Contender]:
    """Our network and the baselines, each timed once per round, after a call that fills the processor's caches."""
    found = contenders(model, threads, folder)
    for _ in range(rounds):
        for one in found:
            one.call()
            one.milliseconds.append(timed(one.call))
    return found


def photo_times(model: Path, threads: int, rounds: int, folder: Path) -> dict[str, float]:
    """Median seconds of a photo from start to files, and of its parts."""
    photo, one = photo_file(folder, 0), photo_file(folder, 999, ONE_MEGAPIXEL)
    out = folder / "results"
    predicted([one], out, model, threads)  # writes the byte code
    whole, small = (
        statistics.median(predicted([path], out, model, threads).seconds for _ in range(rounds))
        for path in (photo, one)
    )
    parts = parts_of_predict(photo, mddnet.load(model, threads), mddnet.load(model, 1), out, rounds)
    seconds = {f"{part} of 12 megapixels": milliseconds / 1000 for part, milliseconds in parts.items()}
    return {TWELVE: whole, ONE: small, **seconds}


def folder_rates(model: Path, threads: int, photos: int, rounds: int, folder: Path) -> list[tuple[float, float]]:
    """Photos per second of a folder without the start, and their share in % of the ideal, in each round.

    The ideal is the sum of the parts on one core, over all cores. The parts are measured in each round, since the speed
    of a machine varies.
    """
    out = folder / "results"
    many = [photo_file(folder, i) for i in range(photos)]
    tiny = photo_file(folder, 998, OUR_SIZE)
    both = mddnet.load(model, threads), mddnet.load(model, 1)
    found = []
    for _ in range(rounds):
        start = predicted([tiny], out, model, threads).seconds
        parts = parts_of_predict(many[0], *both, out, 2)
        ideal = sum(parts[part] for part in ON_ONE_CORE) / threads / 1000
        rate = photos / (predicted(many, out, model, threads).seconds - start)
        found.append((rate, 100 * rate * ideal))
    return found


def memory(model: Path, threads: int, folder: Path) -> dict[str, float]:
    """Largest memory in MB of the prediction of one photo, by its megapixels; and that of 10 and of 40 small photos."""
    found = {}
    for megapixels, size in MEMORY_MEGAPIXELS.items():
        photo = large_photo_file(folder, size)
        found[str(megapixels)] = predicted([photo], folder / "results", model, threads).peak_mb
        photo.unlink()
    small = [photo_file(folder, 1000 + i, ONE_MEGAPIXEL) for i in range(40)]
    for count in (10, 40):
        found[f"{count} photos"] = predicted(small[:count], folder / "results", model, threads).peak_mb
    return found


def large_photo_file(folder: Path, size: tuple[int, int]) -> Path:
    """A JPEG of (height, width), tiled: noise of 200 megapixels would need gigabytes here."""
    tile = Image.open(photo_file(folder, 997, ONE_MEGAPIXEL))
    picture = Image.new("RGB", size[::-1])
    for top in range(0, size[0], tile.height):
        for left in range(0, size[1], tile.width):
            picture.paste(tile, (left, top))
    path = folder / "large.jpg"
    picture.save(path, quality=90)
    return path


def main(
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("docs/results/speed.md"),
    model: str = "small",
    rounds: int = 9,
    photos: int = 100,
    threads: int | None = None,
) -> None:
    """Measure, print and write the tables.

    Parameters
    ----------
    out
        Markdown file to write; its numbers are written into a .json of the same name.
    model
        A shipped model, or a model folder.
    rounds
        How often each network is timed.
    photos
        Photos of 12 megapixels in the folder whose throughput is measured; 0 leaves it out.
    threads
        Processor cores to use; all by default.
    """
    threads = threads or os.cpu_count() or 1
    load_before = os.getloadavg()[0]
    opened = open_model_dir(model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = network_times(opened.folder, threads, rounds, folder)
        seconds = photo_times(opened.folder, threads, min(rounds, 5), folder)
        rates = folder_rates(opened.folder, threads, photos, min(rounds, FOLDER_ROUNDS), folder) if photos else []
        peaks = memory(opened.folder, threads, folder)
    lines = [
        f"# Speed, {opened.name} {opened.version}",
        "",
        f"By `make bench` (`python benchmarks/speed.py`), {time.strftime('%d %B %Y')}.",
        f"{machine_and_runtimes(threads)}.",
        f"Load of the machine before the run {load_before:.1f}, after it {os.getloadavg()[0]:.1f}. If it was not",
        f"near 0 before, only ratios are meaningful. Medians of {rounds} rounds, with each contender once per round; a",
        "ratio is the median of the ratios within each round. Baselines have the layers of the originals and random",
        "weights: only their speed is meaningful.",
        "",
        *table(found),
        "",
        "## From start to files",
        "",
        "| what | s |",
        "|---|---|",
        *(f"| {part} | {value:.3f} |" for part, value in seconds.items()),
        "",
        "## Memory",
        "",
        "| `mddnet predict` of | largest resident memory, MB |",
        "|---|---|",
        *(
            f"| {what if 'photos' in what else f'one JPEG of {what} megapixels'} | {mb:.0f} |"
            for what, mb in peaks.items()
        ),
    ]
    numbers: dict[str, object] = {**network_numbers(found), "s": seconds, "memory_mb": peaks}
    if rates:
        rate, share = (statistics.median(column) for column in zip(*rates, strict=True))
        shares = [share for _, share in rates]
        numbers["folder"] = {"photos": photos, "photos_per_s": rate, "share_percent": share}
        lines += [
            "",
            "## A folder",
            "",
            f"{photos} JPEGs of 12 megapixels: {rate:.2f} photos a second without the start, {share:.0f} %",
            f"({min(shares):.0f} to {max(shares):.0f} in {len(shares)} rounds) of what decoding, predicting on one",
            "core and encoding, measured again before each round, add up to on all cores.",
        ]
    text = "\n".join(lines) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(out, text)
    atomic_write_text(out.with_suffix(".json"), json.dumps(numbers, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    App(default_command=main, help_format="plaintext")()
