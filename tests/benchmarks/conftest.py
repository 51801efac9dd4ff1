"""The made scenes and predictors of the evaluation's tests."""

from tests.evaluate.conftest import add_scene, made, random_answers, row_answers

__all__ = ["add_scene", "made", "random_answers", "row_answers"]
