"""The public sets by the name that ``mddnet evaluate --set`` takes."""

from __future__ import annotations

import difflib

from mddnet.errors import CaptureError
from mddnet.evaluate.public_sets.all_in_3d import ALL_IN_3D
from mddnet.evaluate.public_sets.blur_masks import CUHK, DUT_DBD
from mddnet.evaluate.public_sets.ddff12 import DDFF12
from mddnet.evaluate.public_sets.deblurring import DPDD, LFDOF, REALDOF
from mddnet.evaluate.public_sets.ded import DED
from mddnet.evaluate.public_sets.defocusnet import DEFOCUSNET
from mddnet.evaluate.public_sets.hci import HCI
from mddnet.evaluate.public_sets.idfd import IDFD
from mddnet.evaluate.public_sets.kitti import KITTI
from mddnet.evaluate.public_sets.middlebury import MIDDLEBURY_2006, MIDDLEBURY_2014
from mddnet.evaluate.public_sets.nyu import NYU_MAT, NYU_PNG
from mddnet.evaluate.public_sets.record import PublicSet
from mddnet.evaluate.public_sets.rtf import RTF
from mddnet.evaluate.public_sets.syndof import SYNDOF
from mddnet.evaluate.public_sets.zedd import ZEDD

_SETS = (
    *(NYU_MAT, NYU_PNG, KITTI, DDFF12, DEFOCUSNET, HCI, ZEDD, IDFD, ALL_IN_3D, MIDDLEBURY_2014, MIDDLEBURY_2006),
    *(SYNDOF, RTF, DED),
    *(CUHK, DUT_DBD),
    *(LFDOF, DPDD, REALDOF),
)
PUBLIC_SETS: dict[str, PublicSet] = {public_set.name: public_set for public_set in _SETS}
"""Sets of depth, of the size of blur, of marked blur, and of pairs of a blurred and a sharp photo."""


def find_set(name: str) -> PublicSet:
    """The set of a name.

    Raises:
        CaptureError: for a name that is not there, with the nearest one.
    """
    if name in PUBLIC_SETS:
        return PUBLIC_SETS[name]
    near = difflib.get_close_matches(name, PUBLIC_SETS, 1, 0.4)
    hint = f"; {near[0]}?" if near else ""
    raise CaptureError(f"--set {name}: no such set{hint or ';'} expected one of {', '.join(PUBLIC_SETS)}")
