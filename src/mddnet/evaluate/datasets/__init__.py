"""Public data sets, read in their published form and evaluated with their usual protocol."""

from __future__ import annotations

import difflib
from typing import Any

from mddnet.errors import CaptureError
from mddnet.evaluate.datasets import all_in_3d, blur, ddff12, kitti, middlebury, nyu
from mddnet.evaluate.datasets.record import Dataset, Protocol

_NYU: dict[str, Any] = {
    "licence": "none stated; cite the paper",
    "protocol": Protocol(
        "pixels that the sensor measured (rawDepths > 0), of the 654 test photos", nyu.EIGEN_CROP, (1e-3, 10.0)
    ),
}
_NYU_SOURCE = "Silberman et al., ECCV 2012; https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html"
_SIGMA = Protocol("all pixels; sigma clipped at 3.275 px and divided by it, CoC = 4 sigma")

# fmt: off
DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="all-in-3d", title="ALL-in-3D", source="He et al., arXiv:2208.09848",
            obtain="ask the authors of the paper", licence="none stated",
            expects="  all_in_focus/N.tif, depth/N/depth.npy, depth/N/mask.npy, fd/N/fd.npy, focus_small/N/*\n"
            "  or N/AIF/AIF.tif, N/depth/, N/focus/; all_in_3d.json with aperture_px is optional (docs/data-sets.md)",
            protocol=Protocol("pixels with measured depth, by the mask"),
            list_items=all_in_3d.list_all_in_3d_photos,
        ),
        Dataset(
            name="nyu-mat", title="NYU Depth V2, labeled .mat", source=_NYU_SOURCE,
            obtain="download nyu_depth_v2_labeled.mat (2.8 GB) and splits.mat from the authors' page, no registration",
            expects="  nyu_depth_v2_labeled.mat\n  splits.mat",
            list_items=nyu.list_mat,
            checksums={
                nyu.MAT_FILE: "520609c519fba3ba5ac58c8fefcc3530",
                nyu.SPLITS_FILE: "08e3c3aea27130ac7c01ffd739a4535f",
            },
            **_NYU,
        ),
        Dataset(
            name="nyu-png", title="NYU Depth V2, PNG form of BTS",
            source=f"{_NYU_SOURCE}; form of Lee et al., arXiv:1907.10326, https://github.com/cleinc/bts",
            obtain="convert the .mat with extract_official_train_test_set_from_mat.py of BTS (or use nyu-mat)",
            expects="  test/SCENE_TYPE/rgb_NNNNN.jpg\n"
            "  test/SCENE_TYPE/sync_depth_NNNNN.png   (16 bits, mm, 0 unknown)\n"
            "  or rgb/rgb_NNNNN.jpg and depth/sync_depth_NNNNN.png",
            list_items=nyu.list_png,
            **_NYU,
        ),
        Dataset(
            name="kitti", title="KITTI depth, selected validation photos",
            source="Uhrig et al., 3DV 2017, arXiv:1708.06500; "
            "https://www.cvlibs.net/datasets/kitti/eval_depth.php?benchmark=depth_prediction",
            obtain="download data_depth_selection.zip from the page (registration); --root is its folder "
            "depth_selection; or put raw photos into rgb/ and their annotated depth maps, with the same names, into "
            "depth/", licence="CC BY-NC-SA 3.0 (according to its page; unverified)",
            expects="  val_selection_cropped/image/DRIVE_sync_image_FRAME_image_02.png\n"
            "  val_selection_cropped/groundtruth_depth/DRIVE_sync_groundtruth_depth_FRAME_image_02.png\n"
            "      (16 bits, metres times 256, 0 unknown)\n" "  or rgb/ID.png and depth/ID.png",
            protocol=Protocol("pixels that the lidar measured (code above 0)", None, (1e-3, 80.0)),
            list_items=kitti.list_kitti,
        ),
        Dataset(
            name="middlebury-2014", title="Middlebury 2014, 2021 and benchmark v3",
            source="Scharstein et al., GCPR 2014; https://vision.middlebury.edu/stereo/data/scenes2014/",
            obtain="download the folders of the scenes (Adirondack-perfect, ...) from the page, or those of "
            "scenes2021; or the benchmark's MiddEval3-data-Q.zip and MiddEval3-GT0-Q.zip (or H, F), unpacked in one "
            "folder: --root is its trainingQ", licence="none stated; cite the papers",
            expects="  SCENE/im0.png\n  SCENE/disp0.pfm   (disp0GT.pfm in the benchmark)\n  SCENE/calib.txt",
            protocol=Protocol("pixels whose disparity is finite"), list_items=middlebury.list_2014,
        ),
        Dataset(
            name="middlebury-2006", title="Middlebury 2005 and 2006",
            source="Hirschmueller and Scharstein, CVPR 2007; https://vision.middlebury.edu/stereo/data/scenes2006/",
            obtain="download the folders of the scenes (Aloe, Baby1, ...) from the page, two-view versions",
            licence="none stated; cite the papers",
            expects="  SCENE/view1.png\n  SCENE/disp1.png   (8 bits, 0 unknown)\n"
            "  SCENE/dmin.txt    (optional)",
            protocol=Protocol("pixels whose disparity is above 0"),
            unverified="the layout, from memory of the page; captures of these scenes confirm the formula",
            list_items=middlebury.list_2006,
        ),
        Dataset(
            name="ddff12", title="DDFF 12-Scene, validation scenes",
            source="Hazirbas et al., ACCV 2018, arXiv:1704.01085; https://github.com/soyers/ddff-pytorch",
            obtain="download ddff-dataset-trainval.h5 (12.6 GB) from https://hazirbas.com/datasets/ddff12scene/",
            licence="Creative Commons, attribution (according to its page; unverified)",
            expects="  ddff-dataset-trainval.h5   (stack_val, disp_val)",
            protocol=Protocol("pixels with a disparity above 0", None, (0.5, 7.0)),
            unverified="the size of the CoC, which follows from the authors' script, and the limits of the planes of "
            "focus, 0.2825 and 0.0202 px", list_items=ddff12.list_ddff12,
        ),
        Dataset(
            name="syndof", title="SYNDOF", source="Lee et al., CVPR 2019; https://github.com/codeslake/SYNDOF",
            obtain="download the archive of data sets that https://github.com/codeslake/DMENet links, or render it "
            "with the authors' script", licence="research only (CC BY-NC; the code is AGPL)",
            expects="  image/NAME.png\n  blur_map/NAME.png   (8 bits, ten times sigma in px)",
            protocol=_SIGMA, list_items=blur.list_syndof,
        ),
        Dataset(
            name="rtf", title="RTF",
            source="D'Andres et al., IEEE TIP 2016; as evaluated by https://github.com/codeslake/DMENet, "
            "evaluation/RTF",
            obtain="gt/ from the archive that evaluation/RTF/readme.md of https://github.com/codeslake/DMENet links, "
            "convertion.mat from that folder, the photos from the archive of data sets of the same repository",
            licence="none stated",
            expects="  image/NAME.png\n  gt/NAME.mat       (blurMap)\n"
            "  convertion.mat    (convertion: sigma, size of disc)", protocol=_SIGMA,
            unverified="that photos and maps are paired in the order of their names", list_items=blur.list_rtf,
        ),
    )
}
# fmt: on
"""By their name for ``mddnet evaluate --dataset``."""


def find_dataset(name: str) -> Dataset:
    """The data set with that name; CaptureError with the nearest name for an unknown one."""
    if name in DATASETS:
        return DATASETS[name]
    near = difflib.get_close_matches(name, DATASETS, 1, 0.4)
    hint = f"; {near[0]}?" if near else ""
    raise CaptureError(f"--dataset {name}: no such data set{hint or ';'} expected one of {', '.join(DATASETS)}")
