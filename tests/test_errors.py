from __future__ import annotations

import inspect

import pytest

from mddnet import errors


def test_every_error_is_of_the_one_family() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert len(classes) > 1
    for cls in classes:
        assert issubclass(cls, errors.MddnetError)
        assert cls.__doc__


def test_one_except_clause_catches_them_and_keeps_the_message() -> None:
    with pytest.raises(errors.MddnetError, match=r"^cup\.jpg: no image$"):
        raise errors.ImageError("cup.jpg: no image")


def test_a_programming_error_is_not_of_the_family() -> None:
    assert not issubclass(ValueError, errors.MddnetError)
    assert not issubclass(errors.MddnetError, ValueError)
