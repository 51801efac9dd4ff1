"""Gather the page that runs without a server: its modules, the graph, ONNX Runtime and the constants of the Python.

``python -m web.gather -o work/web`` after ``npm install`` in this folder; ``make web`` does both. The folder can be
served by any file server. Every constant of the fusion is written from the Python module that defines it, as
``constants/<module>.js``; a name that a JavaScript module imports and Python no longer has is an error on loading.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mddnet.predict.model_dir import ModelDir, open_model_dir
from mddnet.version import __version__

HERE = Path(__file__).parent
PAGE_SUFFIXES = (".html", ".css", ".js")
MODULES = (
    "mddnet.color_maps",
    "mddnet.photo.reader",
    "mddnet.types",
    *(
        f"mddnet.predict.{name}"
        for name in (
            "blur", "dioptres", "edge_aware", "fusion", "metric_scale", "model_dir", "out_of_distribution",
            "plane_of_focus", "predictor", "preview", "sign", "texture",
        )
    ),
)  # fmt: skip
"""Modules whose constants the page uses."""
RUNTIME = {"ort.wasm.bundle.min.mjs": "ort.js", "ort-wasm-simd-threaded.wasm": "ort.wasm"}
"""Files of onnxruntime-web, and their names in the page: many servers know ``.js`` but not ``.mjs``."""
EXAMPLE = "coffee.png"  # by Rachel Michetti, CC0, in the wheel of scikit-image


def gather(target: Path, node_modules: Path = HERE / "node_modules", model: str = "small") -> None:
    """Write the page into a folder; files of an earlier run are replaced.

    Raises:
        FileNotFoundError: if onnxruntime-web is not installed.
    """
    runtime = node_modules / "onnxruntime-web"
    if not runtime.is_dir():
        raise FileNotFoundError(f"{runtime}: no such folder; run `npm install` in {HERE}")
    constants = target / "constants"
    constants.mkdir(parents=True, exist_ok=True)
    for path in HERE.iterdir():
        if path.suffix in PAGE_SUFFIXES:
            shutil.copy(path, target)
    for source, name in RUNTIME.items():
        shutil.copy(runtime / "dist" / source, target / name)
    model_dir = open_model_dir(model)
    shutil.copy(model_dir.graph, target / "model.onnx")
    shutil.copy(HERE.parent / "MODEL_LICENSE.md", target / "model-licence.txt")
    example = _example()
    if example:
        shutil.copy(example, target)
    for name in MODULES:
        module = importlib.import_module(name)
        (constants / f"{name.rpartition('.')[2]}.js").write_text(script(name, constants_of(module)), encoding="utf-8")
    facts = {**facts_of(model_dir), "EXAMPLE": example.name if example else None}
    (constants / "model.js").write_text(script(f"the model {model}", facts), encoding="utf-8")


def constants_of(module: ModuleType) -> dict[str, Any]:
    """The public constants of a module that JSON can hold, by name."""
    found = {}
    for name, value in vars(module).items():
        if name.isupper() and not name.startswith("_"):
            plain = value.tolist() if isinstance(value, np.ndarray) else value
            try:
                found[name] = json.loads(json.dumps(plain, allow_nan=False))
            except (TypeError, ValueError):
                continue  # a type, a pattern or the like, which the page has no use for
    return found


def facts_of(model_dir: ModelDir) -> dict[str, Any]:
    """What the page must know of a model."""
    return {
        "NAME": model_dir.name,
        "VERSION": model_dir.version,
        "LONG_SIDE": model_dir.long_side,
        "MULTIPLE": model_dir.multiple,
        "DEFOCUS_CAP_PX": model_dir.defocus_cap_px,
        "CAMERA_ERROR": model_dir.camera_error,
        "METRIC_ERRORS": asdict(model_dir.metric_errors),
        "MDDNET_VERSION": __version__,
    }


def script(source: str, constants: dict[str, Any]) -> str:
    """A JavaScript module that exports constants."""
    lines = [f"export const {name} = {json.dumps(value)};\n" for name, value in sorted(constants.items())]
    return f"// Constants of {source}, written by web/gather.py.\n{''.join(lines)}"


def _example() -> Path | None:
    spec = importlib.util.find_spec("skimage")
    path = Path(spec.origin).parent / "data" / EXAMPLE if spec and spec.origin else None
    return path if path and path.is_file() else None


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Gather the page that runs without a server.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--node-modules", type=Path, default=HERE / "node_modules", help="where npm installed")
    arguments = parser.parse_args()
    try:
        gather(arguments.output, arguments.node_modules)
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in arguments.output.rglob("*") if path.is_file())
    print(f"{arguments.output}: {size / 1e6:.0f} MB; serve it with: python -m http.server -d {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
