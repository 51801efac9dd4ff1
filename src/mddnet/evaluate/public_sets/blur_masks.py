"""CUHK and DUT-DBD: photos in which people marked what is blurred.

- CUHK (Shi et al., "Discriminative Blur Detection Features", CVPR 2014): ``image/out_of_focusNNNN.jpg`` (704 photos;
  the ``motionNNNN`` ones are left out) and ``gt/out_of_focusNNNN.png``, white where it is blurred.
- DUT-DBD (Zhao et al., "Defocus Blur Detection via Multi-Stream Bottom-Top-Bottom Network", IEEE PAMI 2020): 500 test
  photos and masks of the same names, white where it is *in focus*.

Names and the opposite whites of the two are read off the reader of https://github.com/yuxinjin-whu/D-DFFNet (data.py,
test_iou.py), which turns the masks of CUHK round before comparing; which of the two is white for blur is from memory.
The folder names of DUT-DBD differ between copies, so three are known.
"""

from __future__ import annotations

from pathlib import Path

from mddnet.evaluate.public_sets.files import images_in, marked_item, paired, same_stem
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetListing

DUT_FOLDERS = (
    ("DUT500S-Testing", "DUT500GT-Testing"),
    ("dut500-source", "dut500-gt"),
    ("image", "gt"),
)


def _list_cuhk(root: Path) -> SetListing:
    photos, masks = root / "image", root / "gt"
    for folder in (photos, masks):
        if not folder.is_dir():
            raise CUHK.missing(folder, "a folder of the set")
    defocused = [path for path in images_in(photos) if path.stem.startswith("out_of_focus")]
    return paired(
        defocused,
        lambda photo: same_stem(masks, photo.stem),
        "mask gt/NAME.png",
        lambda photo, mask: marked_item(photo, mask, "out of focus", white_is_blurred=True),
    )


def _list_dut(root: Path) -> SetListing:
    for photos, masks in DUT_FOLDERS:
        if (root / photos).is_dir() and (root / masks).is_dir():
            return paired(
                images_in(root / photos),
                lambda photo, folder=root / masks: same_stem(folder, photo.stem),  # type: ignore[misc]
                f"mask {masks}/NAME",
                lambda photo, mask: marked_item(photo, mask, "test", white_is_blurred=False),
            )
    raise DUT_DBD.missing(root / DUT_FOLDERS[0][0], "the 500 test photos and their masks")


_ALL_PIXELS = Protocol("all pixels that people marked; MAE is of the binary map, F has beta^2 = 0.3")

CUHK = PublicSet(
    name="cuhk",
    title="CUHK blur detection, out of focus",
    source="Shi et al., CVPR 2014; http://www.cse.cuhk.edu.hk/~leojia/projects/dblurdetect/dataset.html",
    obtain="download the data set from the authors' page; the tables of the field use 100 of the photos, whose names "
    "are published with BTBNet: keep those alone in image/ to compare",
    licence="none stated",
    expects="  image/out_of_focusNNNN.jpg\n  gt/out_of_focusNNNN.png   (white is blurred)",
    states=("blurred",),
    protocol=_ALL_PIXELS,
    basis="the reader of D-DFFNet; that white is blurred is from memory",
    list_items=_list_cuhk,
    unverified=True,
)
DUT_DBD = PublicSet(
    name="dut-dbd",
    title="DUT-DBD, test photos",
    source="Zhao et al., IEEE PAMI 2020; http://ice.dlut.edu.cn/ZhaoWenda/DBD.html",
    obtain="download the data set from the authors' page",
    licence="none stated",
    expects="  DUT500S-Testing/N.jpg\n  DUT500GT-Testing/N.bmp   (white is in focus)\n"
    "  or dut500-source/ and dut500-gt/, or image/ and gt/",
    states=("blurred",),
    protocol=_ALL_PIXELS,
    basis="the readers of D-DFFNet and DENets; that white is in focus, and the first pair of folders, are from memory",
    list_items=_list_dut,
    unverified=True,
)
