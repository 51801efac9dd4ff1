"""MATLAB files: the numbers that SciPy wrote, and errors for everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mddnet.errors import CaptureError
from mddnet.evaluate.datasets.mat_file import read_mat

scipy_io = pytest.importorskip("scipy.io")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "u2", "i4", "i8"])
def test_numbers_are_read_as_scipy_wrote_them(tmp_path: Path, compressed: bool, dtype: str) -> None:
    values = np.arange(12).reshape(3, 4).astype(dtype)
    variables = {"text": "abc", "blurMap": values, "a": np.uint8(7), "other": np.eye(2)}
    scipy_io.savemat(tmp_path / "x.mat", variables, do_compression=compressed)
    np.testing.assert_array_equal(read_mat(tmp_path / "x.mat", "blurMap"), values)
    assert read_mat(tmp_path / "x.mat", "a").tolist() == [[7.0]]


def test_what_is_missing_or_no_number_is_named(tmp_path: Path) -> None:
    scipy_io.savemat(tmp_path / "x.mat", {"text": "abc", "cells": np.array([["a"], [1]], dtype=object)})
    for key in ("text", "cells", "none"):
        with pytest.raises(CaptureError, match=rf"x\.mat: no variable {key}\b"):
            read_mat(tmp_path / "x.mat", key)


def test_an_unknown_type_of_numbers_is_refused(tmp_path: Path) -> None:
    # SciPy 1.17 ends the process for this file.
    scipy_io.savemat(tmp_path / "x.mat", {"testNdxs": np.array([[1], [2]])})
    content = (tmp_path / "x.mat").read_bytes()
    at = content.index(b"testNdxs") + len(b"testNdxs")
    (tmp_path / "x.mat").write_bytes(content[: at + 1] + b"\x10" + content[at + 2 :])
    with pytest.raises(CaptureError, match=r"no variable testNdxs\b"):
        read_mat(tmp_path / "x.mat", "testNdxs")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_file_gives_numbers_or_our_error(tmp_path: Path, compressed: bool) -> None:
    scipy_io.savemat(tmp_path / "x.mat", {"x": np.arange(6.0)}, do_compression=compressed)
    content = (tmp_path / "x.mat").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), 3):
            damaged[at] = rng.integers(0, 256)
        (tmp_path / "y.mat").write_bytes(bytes(damaged[: rng.integers(1, len(content) + 1)]))
        try:
            assert read_mat(tmp_path / "y.mat", "x").dtype == np.float64
        except CaptureError as error:
            refused += 1
            assert "y.mat" in str(error)
    assert refused > 100
