"""``mddnet VERB ...``: the commands and their exit codes."""

from __future__ import annotations

import atexit
import difflib
import gc
import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from mddnet.cli.examples import EPILOGUES, EXAMPLES
from mddnet.cli.flags import WrongUsage
from mddnet.errors import MddnetError, install_hint
from mddnet.version import __version__

DONE, FAILED, WRONG_USAGE, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 130, 141

VERBS = {
    "predict": "Predict depth and defocus of photos.",
    "refocus": "Give photos more or less blur, or another plane of focus.",
    "stack": "Depth and an all-in-focus image from a focal stack.",
    "fuse": "Depth and an all-in-focus image from two photos, one focused near and one far.",
    "build": "Build training scenes from captures.",
    "calibrate": "Calibrate the lens of a rig or of focal stacks.",
    "inspect": "Write a report of built scenes.",
    "label": "Create pseudo-depth labels with a teacher model.",
    "shards": "Write the samples of built scenes as WebDataset shards.",
    "train": "Train a network with a recipe.",
    "evaluate": "Measure a model on held-out captures or a public data set.",
    "export": "Export a trained network as a model folder for `mddnet predict`.",
    "demo": "Serve a web page that shows depth and defocus of photos.",
}

EXTRAS = {
    "build": ("cv2", "scipy", "joblib", "braceexpand"),
    "train": ("torch", "torchvision", "timm", "tomli_w", "lightning_fabric", "tensorboard", "onnx", "onnxscript"),
    "demo": ("gradio",),
    "datasets": ("h5py",),
    "baselines": ("transformers",),
    "report": ("jinja2", "matplotlib"),
    "hub": ("huggingface_hub",),
    "ray": ("ray",),
}
"""Top-level modules that an extra installs."""


EXIT_CODES = "Exit code: 0 success, 1 some inputs failed (each is listed), 2 wrong usage."
FLAGS = ("--help", "-h", "--version")
"""Flags without a command."""

atexit.register(gc.freeze)  # at exit, Python would search everything imported for garbage again and again


def make_app() -> App:
    """The command line; the module of a verb is imported on use."""
    app = App(
        name="mddnet",
        help="Depth and defocus from one photo, connected by the lens law.",
        version=f"mddnet {__version__}",
        suppress_keyboard_interrupt=False,
        help_format="plaintext",
        help_epilogue=f"{EXAMPLES}\n\n{EXIT_CODES}",
    )
    for verb, sentence in VERBS.items():
        epilogue = f"{EPILOGUES[verb]}\n\n{EXIT_CODES}" if verb in EPILOGUES else EXIT_CODES
        app.command(f"mddnet.cli.{verb}:{verb}", name=verb, help=sentence, help_epilogue=epilogue)
    return app


def _prepare_output() -> None:
    """Print names that the terminal cannot show with "?", and no remarks of libraries on single files."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.filterwarnings("ignore", module=r"PIL\.")
    for library in ("PIL", "tifffile", "exifread"):
        logging.getLogger(library).addHandler(logging.NullHandler())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with arguments (None: those of the process), and return the exit code."""
    app = make_app()
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0].startswith("-") and arguments[0] not in FLAGS:
        nearest = difflib.get_close_matches(arguments[0], FLAGS, n=1, cutoff=0.5)
        meant = f"did you mean {nearest[0]}?" if nearest else f"expected {', '.join(FLAGS)} or a command"
        print(f"mddnet: unknown option {arguments[0]}; {meant}", file=sys.stderr)
        return WRONG_USAGE
    _prepare_output()
    try:
        result = app(arguments, exit_on_error=False, print_error=True, result_action="return_value")
        if sys.stdout is not None:  # None if it was closed by the caller
            sys.stdout.flush()
    except CycloptsError:
        return WRONG_USAGE
    except WrongUsage as error:
        print(f"mddnet {arguments[0]}: {error}", file=sys.stderr)
        return WRONG_USAGE
    except MddnetError as error:
        print(f"mddnet: {error}", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
        if extra is None:
            raise
        print(f"mddnet: {error.name} is not installed; {install_hint(extra)}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Nobody reads on, as in `mddnet ... | head -1`. Python would flush the rest at exit, and fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except OSError as error:
        from mddnet.io.part_file import refusal

        reason = refusal(error)
        if reason is None:
            raise
        print(f"mddnet: {reason}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("mddnet: interrupted", file=sys.stderr)
        return INTERRUPTED
    return result if isinstance(result, int) else DONE
