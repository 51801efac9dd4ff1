"""Sets for deblurring: a photo with blur and the same view all in focus. Of blur they know where detail was lost.

- DPDD (Abuolaim and Brown, "Defocus Deblurring Using Dual-Pixel Data", ECCV 2020): ``test_c/source/*.png`` and
  ``test_c/target/*.png``, 16 bits, paired in the order of their names (https://github.com/Abdullah-Abuolaim/
  defocus-deblurring-dual-pixel, README; the pairing as in https://github.com/lingyanruan/DRBNet, run.py).
- RealDOF (Lee et al., "Iterative Filter Adaptive Network for Single Image Defocus Deblurring", CVPR 2021): ``source/``
  and ``target/`` in the same way (https://github.com/codeslake/IFAN, configs/config.py).
- LFDOF (Ruan et al., "AIFNet", IEEE TCI 2021): photos ``NAME_ap*.png``, several of each ``NAME.png`` (DRBNet,
  util/util.py); the folders ``test_data/input`` and ``test_data/ground_truth`` are from memory and unverified.
"""

from __future__ import annotations

from pathlib import Path

from mddnet.errors import CaptureError
from mddnet.evaluate.public_sets.files import images_in, paired, read_rgb, same_stem
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetItem, SetListing, SetPhoto

_PROTOCOL = Protocol(
    "pixels at which the sharp photo is clearly sharper than the blurred one, or clearly not, as with near/far pairs"
)


def _item(photo: Path, sharp: Path, group: str) -> SetItem:
    return SetItem(photo.stem, group, lambda: SetPhoto(read_rgb(photo), sharp=read_rgb(sharp)))


def _in_order(public_set: PublicSet, folder: Path) -> SetListing:
    source, target = folder / "source", folder / "target"
    for path in (source, target):
        if not path.is_dir():
            raise public_set.missing(path, "photos of the set")
    photos, sharp = images_in(source), images_in(target)
    if len(photos) != len(sharp):
        raise CaptureError(
            f"{folder}: {len(photos)} photos in source/ and {len(sharp)} in target/; expected as many, they pair up in "
            "the order of their names"
        )
    return SetListing(tuple(_item(p, s, "test") for p, s in zip(photos, sharp, strict=True)))


def _list_dpdd(root: Path) -> SetListing:
    return _in_order(DPDD, root / "test_c")


def _list_realdof(root: Path) -> SetListing:
    return _in_order(REALDOF, root)


def _list_lfdof(root: Path) -> SetListing:
    photos, sharp = root / "test_data" / "input", root / "test_data" / "ground_truth"
    for path in (photos, sharp):
        if not path.is_dir():
            raise LFDOF.missing(path, "photos of the set")
    return paired(
        images_in(photos),
        lambda photo: same_stem(sharp, photo.stem.partition("_ap")[0]),
        "sharp photo ground_truth/NAME.png",
        lambda photo, partner: _item(photo, partner, "test"),
    )


DPDD = PublicSet(
    name="dpdd",
    title="DPDD, test photos",
    source="Abuolaim and Brown, ECCV 2020; https://github.com/Abdullah-Abuolaim/defocus-deblurring-dual-pixel",
    obtain="download dd_dp_dataset_canon.zip as the authors' README says, and name the folder that holds "
    "test_c as --root",
    licence="research only (see the authors' LICENSE.md)",
    expects="  test_c/source/NAME.png   (blurred)\n  test_c/target/NAME.png   (all in focus, paired in order)",
    states=("sharp",),
    protocol=_PROTOCOL,
    basis="the authors' README and the reader of DRBNet",
    list_items=_list_dpdd,
)
REALDOF = PublicSet(
    name="realdof",
    title="RealDOF",
    source="Lee et al., CVPR 2021; https://github.com/codeslake/IFAN",
    obtain="download RealDOF.zip, which the READMEs of IFAN and DRBNet link",
    licence="none stated",
    expects="  source/NAME.png   (blurred)\n  target/NAME.png   (all in focus, paired in order)",
    states=("sharp",),
    protocol=_PROTOCOL,
    basis="the authors' configuration and the reader of DRBNet",
    list_items=_list_realdof,
)
LFDOF = PublicSet(
    name="lfdof",
    title="LFDOF, test photos",
    source="Ruan et al., IEEE TCI 2021; https://sweb.cityu.edu.hk/miullam/AIFNET/",
    obtain="download the data set from the authors' page",
    licence="none stated",
    expects="  test_data/input/NAME_ap*.png\n  test_data/ground_truth/NAME.png",
    states=("sharp",),
    protocol=_PROTOCOL,
    basis="how NAME_ap* goes with NAME: the reader of DRBNet; the folders are from memory",
    list_items=_list_lfdof,
    unverified=True,
)
