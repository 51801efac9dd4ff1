"""Scenes of the simulated rig, whose depth comes from structured light, also in weak texture.

The simulator is that of the tests (``tests/support/rig_simulator``), with measured shapes and textures. The scenes are
not used for training.
"""

from __future__ import annotations

from pathlib import Path

from research.claims.plan import RIGS

from mddnet.data.scene_pool import SceneEntry
from mddnet.scenes.rig_scene import build_rig_scene
from mddnet.scenes.scene_stamp import scene_stamp
from mddnet.scenes.store import read_scene


def rig_scenes(data: Path, work: Path) -> list[SceneEntry]:
    """Simulate and build the scenes if they are missing; none without measured shapes.

    Args:
        data: folder with ``depth/stereo`` and ``depth/rgbd``.
        work: for captures and scenes.
    """
    if not (data / "depth").is_dir():
        return []
    from benchmarks.rig_table import FULL, scenes
    from tests.support.rig_simulator.rig import capture

    entries = []
    for seed, (name, (_, make)) in enumerate(scenes(data).items()):
        folder = work / RIGS / name
        if not (folder / "scene.json").is_file():
            capture(make(), work / "captures" / name, FULL, seed, noise=0.01)
            build_rig_scene(work / "captures" / name, work / RIGS)
        entries.append(SceneEntry(folder, RIGS, read_scene(folder), scene_stamp(folder)))
    return entries
