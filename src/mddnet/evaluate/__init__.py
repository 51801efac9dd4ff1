"""Evaluation on held-out real captures, every number beside its baseline."""

from mddnet.evaluate.alteration import Altered
from mddnet.evaluate.harness import PARTS, Evaluation, evaluate_model
from mddnet.evaluate.tables import markdown, print_tables, write_evaluation

__all__ = ["PARTS", "Altered", "Evaluation", "evaluate_model", "markdown", "print_tables", "write_evaluation"]
