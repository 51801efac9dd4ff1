"""What the tests of the page share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.support.made_law_model import LawModel, ramp

from mddnet.demo.jobs import Jobs
from mddnet.demo.page_maps import PageMaps, page_maps
from mddnet.demo.scratch import Scratch
from mddnet.demo.upload import Limits
from mddnet.types import Photo


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    """Jobs with the model of the law and small limits."""
    scratch = Scratch(max_mb=500, max_age_s=3600)
    yield Jobs(LawModel(), Limits(megapixels=2, batch_files=3), scratch)
    scratch.close()


@pytest.fixture
def maps() -> PageMaps:
    """What the page keeps of a ramp of 60 x 80 px."""
    return page_maps(LawModel().predict(Photo(ramp())))


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    """A ramp as a PNG file."""
    path = tmp_path / "cup.png"
    Image.fromarray(ramp()).save(path)
    return path
