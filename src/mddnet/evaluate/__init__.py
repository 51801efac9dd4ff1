"""Evaluation on held-out real captures and public data sets."""

from mddnet.evaluate.result import Evaluation
from mddnet.evaluate.run import PARTS, evaluate_dataset, evaluate_model
from mddnet.evaluate.samples import Options
from mddnet.evaluate.tables import markdown, print_tables, write_evaluation

__all__ = [
    "PARTS",
    "Evaluation",
    "Options",
    "evaluate_dataset",
    "evaluate_model",
    "markdown",
    "print_tables",
    "write_evaluation",
]
