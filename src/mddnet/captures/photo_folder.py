"""Sharp photos without depth, listed by a ``manifest.csv`` with the columns file, source, licence.

They supply texture for rendered blur over synthetic depth, and are used for training only. File names are relative to
the manifest's folder or to its parent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mddnet.captures.kind import Kind
from mddnet.captures.manifest import check_unique, manifest_rows, path_inside
from mddnet.captures.rgbd import ListedImage
from mddnet.errors import CaptureError


@dataclass(frozen=True, slots=True)
class SharpPhoto(ListedImage):
    """An all-in-focus photo, and another photo whose pieces may be pasted in front of it."""

    other: SharpPhoto | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.image,) if self.other is None else (self.image, self.other.image)


def list_photos(root: Path) -> list[SharpPhoto]:
    """Sharp photos in the order of ``root/manifest.csv``; CaptureError if it or a photo is missing or repeated."""
    photos: list[SharpPhoto] = []
    for line, row in manifest_rows(root, ("file", "source", "licence")):
        candidates = [path_inside(base, row["file"], line) for base in (root.parent, root)]
        image = next((c for c in candidates if c.is_file()), None)
        if image is None:
            raise CaptureError(f"{line}: {row['file']} does not exist; restore it or remove the row")
        source = row["source"]
        photos.append(SharpPhoto(f"{source}_{image.stem}", f"photos/{source}", source, row["licence"], image))
    check_unique(root, photos)
    # Drawn by name, independent of the order of building.
    others = [named_rng(f"paste onto {photo.location}/{photo.name}", 0).integers(len(photos)) for photo in photos]
    return [replace(photo, other=photos[other]) for photo, other in zip(photos, others, strict=True)]


def named_rng(name: str, seed: int) -> np.random.Generator:
    """Random generator that depends on a name and the seed only, not on the order of building."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


KINDS = (
    Kind(
        name="photos",
        title="Photos with synthetic depth",
        capture="photo",
        order=7,
        share=0.3,
        builder="mddnet.scenes.rendered_scene:build_photo_scene",
        frames_rendered=3,
        reader=list_photos,
        folders=("photos",),
    ),
)
