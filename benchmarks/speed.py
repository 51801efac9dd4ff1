"""Measure the speed of mddnet and baselines: ``make bench``, or ``python benchmarks/speed.py -o FILE.md``.

Every contender is timed once per round, in turn, so that other load of the machine affects all of them. The table lists
medians, the machine and its load.
"""

from __future__ import annotations

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

OUR_SIZE = (384, 512)
PHOTO_SIZE = (3000, 4000)
OURS = "mddnet, both maps, 384 x 512"
ON_ONE_CORE = ("decode", "the same on one core", "encode: five maps, preview, facts")
"""The parts of a prediction when one photo per core is processed."""
FOLDER_ROUNDS = 3
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


def onnx_call(path: Path, shape: tuple[int, ...], threads: int) -> Call:
    """A run of ONNX Runtime on random pixels."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
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
    return {"ONNX Runtime": onnx_call(path, shape, threads), **openvino_calls(path, shape, threads)}


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


def predict_command(photos: list[Path], out: Path, model: Path, threads: int) -> Call:
    """``mddnet predict`` in a new process."""
    command = [sys.executable, "-m", "mddnet", "predict", *map(str, photos), "-o", str(out)]
    command += ["--model", str(model), "--threads", str(threads)]
    return lambda: subprocess.run(command, check=True, capture_output=True)


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


def table(found: list[Contender]) -> list[str]:
    """The rows of the networks, with the time over that of ours, both in their fastest runtime."""
    best = {name: min(c.median for c in found if c.name == name) for name in dict.fromkeys(c.name for c in found)}
    lines = [
        "| network | gives | million parameters | runtime | ms | best runtime over ours |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        factor = f"{best[one.name] / best[OURS]:.1f}" if one.median == best[one.name] else ""
        lines.append(
            f"| {one.name} | {one.gives} | {one.parameters:.1f} | {one.runtime} | {one.median:.0f} | {factor} |"
        )
    depth, blur = (next(name for name in best if name.startswith(start)) for start in ("Depth Anything", "DMENet"))
    lines += [
        "",
        f"Depth Anything V2 Small at its usual input takes {best[depth] / best[OURS]:.1f} times as long as both maps",
        f"of mddnet; with a network like DMENet, {(best[depth] + best[blur]) / best[OURS]:.1f} times as long.",
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
        Markdown file to write.
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = contenders(Path(model) if Path(model).exists() else open_model_dir(model).folder, threads, folder)
        for one in found:
            one.call()  # warm
        for _ in range(rounds):
            for one in found:
                one.milliseconds.append(timed(one.call))
        model_folder = open_model_dir(model).folder
        predictor = mddnet.load(model_folder, threads)
        photo = photo_file(folder, 0)
        small = photo_file(folder, 999, OUR_SIZE)
        results = folder / "results"
        alone = mddnet.load(model_folder, 1)
        parts = parts_of_predict(photo, predictor, alone, results, min(rounds, 5))
        whole = statistics.median(
            timed(predict_command([photo], results, model_folder, threads)) for _ in range(min(rounds, 5))
        )
        first = statistics.median(
            timed(predict_command([small], results, model_folder, threads)) for _ in range(min(rounds, 5))
        )
        lines = [
            f"# Speed, {predictor.name} {predictor.version}",
            "",
            f"By `make bench` (`python benchmarks/speed.py`), {time.strftime('%d %B %Y')}. "
            f"{machine_and_runtimes(threads)}.",
            f"Load of the machine before the run {load_before:.1f}, after it LOAD_AFTER. If it was not near 0 before,",
            f"only ratios are meaningful. Medians of {rounds} rounds, with each contender once per round. Baselines",
            "have the layers of the originals and random weights: only their speed is meaningful.",
            "",
            *table(found),
            "",
            "## A photo of 12 megapixels, from start to files",
            "",
            "| what | s |",
            "|---|---|",
            f"| `mddnet predict` of one JPEG of 4000 x 3000 | {whole / 1000:.2f} |",
            f"| `mddnet predict` of one JPEG of 512 x 384: start-up, mostly | {first / 1000:.2f} |",
            *(f"| {part} | {milliseconds / 1000:.3f} |" for part, milliseconds in parts.items()),
        ]
        if photos:
            many = [photo_file(folder, i) for i in range(photos)]
            command = predict_command(many, results, model_folder, threads)
            rates, shares = [], []
            for _ in range(
                min(rounds, FOLDER_ROUNDS)
            ):  # measure the parts each time, since the speed of a machine varies
                one = parts_of_predict(photo, predictor, alone, results, 2)
                ideal = sum(one[part] for part in ON_ONE_CORE) / threads / 1000
                rates.append(photos / ((timed(command) - first) / 1000))
                shares.append(100 * rates[-1] * ideal)
            lines += [
                "",
                f"A folder of {photos} such photos: {statistics.median(rates):.2f} photos a second without the start,",
                f"{statistics.median(shares):.0f} % ({min(shares):.0f} to {max(shares):.0f} in {len(shares)} rounds) "
                "of what decoding, predicting on one core and",
                "encoding, measured again before each round, add up to on all cores.",
            ]
    text = "\n".join(lines).replace("LOAD_AFTER", f"{os.getloadavg()[0]:.1f}") + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(out, text)
    print(text)


if __name__ == "__main__":
    App(default_command=main, help_format="plaintext")()
