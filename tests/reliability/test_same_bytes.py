"""The same input gives the same bytes; `make table-determinism` looks at more photos and at real captures."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.reliability.files import byte_differences, files_of
from benchmarks.reliability.same_bytes import THREADS_TOLERANCE, largest_difference
from PIL import Image

from mddnet.cli.main import main

cv2 = pytest.importorskip("cv2")

from tests.reliability.test_disk import write_photos, write_sharp_photos  # noqa: E402

FORMATS = "tiff,png,npy,mask,ply,glb"


@pytest.mark.slow
def test_predictions_do_not_depend_on_other_files_and_hardly_on_threads(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    photos = write_photos(tmp_path / "photos", 1)
    Image.fromarray(data.chelsea()).save(photos / "chelsea.png")
    for threads in ("1", "2", "4"):
        command = ["predict", str(photos), "-o", str(tmp_path / threads), "--threads", threads, "--formats", FORMATS]
        assert main(command) == 0
    for photo in sorted(photos.iterdir()):
        command = ["predict", str(photo), "-o", str(tmp_path / "alone"), "--threads", "1", "--formats", FORMATS]
        assert main(command) == 0
    wanted = files_of(tmp_path / "1")
    assert len(wanted) == 2 * 14
    assert byte_differences(files_of(tmp_path / "alone"), wanted) == []
    for other in ("2", "4"):
        found = files_of(tmp_path / other)
        assert found.keys() == wanted.keys()
        assert largest_difference(wanted, found) <= THREADS_TOLERANCE


@pytest.mark.slow
def test_scenes_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    data = write_sharp_photos(tmp_path / "data")
    for jobs in ("1", "2"):
        assert main(["build", str(data), "-o", str(tmp_path / jobs), "-j", jobs]) == 0
    assert byte_differences(files_of(tmp_path / "2"), files_of(tmp_path / "1")) == []
