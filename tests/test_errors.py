from __future__ import annotations

import inspect

import pytest

from mddnet import errors


def test_every_error_derives_from_mddnet_error() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert len(classes) > 1
    for cls in classes:
        assert issubclass(cls, errors.MddnetError)
        assert cls.__doc__


def test_base_class_catches_all_errors() -> None:
    with pytest.raises(errors.MddnetError, match=r"^cup\.jpg: no image$"):
        raise errors.ImageError("cup.jpg: no image")


def test_programming_error_is_not_caught() -> None:
    assert not issubclass(ValueError, errors.MddnetError)
    assert not issubclass(errors.MddnetError, ValueError)
