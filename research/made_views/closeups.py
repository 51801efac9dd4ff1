"""Close-ups of single animals, plants, toys and food: a further kind of view for the generator of rooms.

The generator of made views (`MADE_VIEWS_TOOLS`, its folder) builds and renders the scenes; here is only what it lacks:
what stands in the middle, and where the camera is.

    MADE_VIEWS_TOOLS=../shared/tools/made_views MADE_VIEWS_WORK=work/made_views \\
        work/made_views/venv/bin/python research/made_views/closeups.py 800 work/views/rooms-closeup --seed 16
"""

from __future__ import annotations

import math
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOOLS = Path(os.environ["MADE_VIEWS_TOOLS"]).resolve()
sys.path[:0] = [str(TOOLS / "rooms"), str(TOOLS)]

import common  # noqa: E402
import generate  # noqa: E402
import numpy as np  # noqa: E402
from world import CATALOGUE, Scene, camera, develop, look_at, quick_depth, render  # noqa: E402

ANIMALS = generate.group("cat|dog|rabbit|bulldog|siamese|chicken|horse", ("Characters",))
PLANTS = generate.GROUPS["plant"] + generate.group("bush|plant box|flower box", ("Exterior",))
TOYS = generate.group(
    "teddy|toy|car model|ball$|xylophone|rocking|skateboard|tricycle|shoe|sneaker|backpack|vase|gift|guitar"
)
THINGS = generate.SMALL
INDOORS = 0.45
ELEVATIONS = ((-5, 15), (-5, 15), (10, 50), (10, 50), (45, 80))
"""Degrees from which a piece is looked at; the last from above."""
TRIED = 60
"""Cameras tried per scene."""


@dataclass(frozen=True)
class Subject:
    """A piece in the middle of a picture: where its foot stands and how large it is, in metres."""

    foot: tuple[float, float, float]
    height: float
    width: float


def choose(rng: random.Random) -> str:
    """A piece of the catalogue: an animal, a plant, a toy, or any small thing."""
    groups = [ANIMALS, ANIMALS, PLANTS, PLANTS, TOYS, THINGS]
    return rng.choice(rng.choice([group for group in groups if group]))


def outdoors(scene: Any, rng: random.Random) -> tuple[list[Subject], Callable[[Any], bool]]:
    """Two to four pieces on open ground, and whether a camera may stand somewhere."""
    generate.build_outdoors(scene, rng, 0.5)
    subjects = []
    for _ in range(rng.randint(2, 4)):
        name = choose(rng)
        piece, scale = CATALOGUE[name], rng.uniform(0.8, 1.2)
        x, z = rng.uniform(-3, 3), rng.uniform(-4, 4)
        if not scene.fits(x, z, piece["w"], piece["d"], 0):
            continue
        scene.occupy(x, z, piece["w"], piece["d"], 0)
        foot = (x, scene.ground(x, z) - 0.01, z)
        scene.model(name, foot, rng.uniform(0, 2 * math.pi), scale)
        subjects.append(Subject(foot, piece["h"] * scale, max(piece["w"], piece["d"]) * scale))
    return subjects, lambda eye: eye[1] > scene.ground(eye[0], eye[2]) + 0.08


def indoors(scene: Any, rng: random.Random) -> tuple[list[Subject], Callable[[Any], bool]]:
    """Things on a table and two pieces on the floor, and whether a camera may stand somewhere."""
    room = generate.build_room(scene, rng, small=rng.random() < 0.5)
    for _ in range(3):
        if room.tables or room.table_and_chairs(chairs=rng.random() < 0.3):
            break
    scene.commit()
    subjects = []
    for table in room.tables[:1]:
        for x, y, z, height, width in generate.scatter(scene, table[:3], rng.randint(3, 9), tries=10):
            subjects.append(Subject((x, y, z), height, width))
    for _ in range(2):
        name = choose(rng)
        spot = room.place_freely(name)
        if spot:
            piece = CATALOGUE[name]
            subjects.append(Subject((spot[0], 0.0, spot[1]), piece["h"], max(piece["w"], piece["d"])))

    def inside(eye: Any) -> bool:
        return 0.1 < eye[0] < room.w - 0.1 and 0.1 < eye[2] < room.d - 0.1 and 0.05 < eye[1] < room.h - 0.1

    return subjects, inside


def closeup_scene(scene: Any, rng: random.Random) -> list[Any]:
    """Cameras (position, yaw, pitch, roll, fov) whose picture one piece fills to a third or more."""
    subjects, allowed = (indoors if rng.random() < INDOORS else outdoors)(scene, rng)
    scene.commit()
    candidates = []
    for _ in range(TRIED if subjects else 0):
        subject = rng.choice(subjects)
        target = np.add(subject.foot, (0, subject.height * rng.uniform(0.4, 0.85), 0))
        fov = math.radians(rng.uniform(22, 50))
        extent = max(0.12, min(subject.height, 1.2), min(subject.width, 1.2)) * rng.uniform(0.9, 2.0)
        distance = min(max(extent / 2 / math.tan(fov / 2 * 0.75), 0.25), 5.0)
        angle, rise = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(*rng.choice(ELEVATIONS)))
        away = np.array([math.cos(angle) * math.cos(rise), math.sin(rise), math.sin(angle) * math.cos(rise)])
        eye = target + distance * away
        if not allowed(eye):
            continue
        yaw, pitch = look_at(eye, target)
        yaw, pitch = yaw + rng.gauss(0, fov * 0.12), pitch + rng.gauss(0, fov * 0.06)
        roll = math.radians(rng.gauss(0, 2))
        depth, instances = quick_depth(eye, yaw, pitch, roll, fov, scene.size)
        near, biggest, _, spread, edges = generate.measure(depth, instances, 0.15)
        middle = depth[depth.shape[0] // 3 : -(depth.shape[0] // 3), depth.shape[1] // 3 : -(depth.shape[1] // 3)]
        filled = ((middle > 0) & (middle < distance * 1.25)).mean()
        if near > 0.03 or edges < 0.008 or biggest > 0.8 or filled < 0.3:
            continue
        candidates.append((spread + 2 * edges + 0.5 * filled + rng.random(), eye, yaw, pitch, roll, fov))
    return generate.best_views(candidates, rng.choice([1, 2, 2, 3]))


def make_scene(number: int, options: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Scene name and views (see the generator's ``common.run``); a seed and a number always give the same scene."""
    name = f"C{number:06d}"
    rng = random.Random(f"closeups {options['seed']} {number}")
    random.seed(f"boxes {options['seed']} {number}")  # the generator draws texture offsets from the module's own state
    long_side, short_side = options["long_side"], round(options["long_side"] * 3 / 4)
    size = (short_side, long_side) if rng.random() < options["portrait"] else (long_side, short_side)
    scene, views = Scene(rng, size), []
    try:
        for index, placement in enumerate(closeup_scene(scene, rng)):
            view = camera(*placement, *size)
            linear, depth, _ = render(scene, view, options["spp"], number * 16 + index)
            if ((depth > 0) & (depth < 0.2)).mean() > 0.2 or linear.mean() < 1e-4:
                continue
            rgb = develop(linear, rng, depth)
            if rgb.std() < 9:
                continue
            hfov = math.degrees(2 * math.atan(size[0] / 2 / view.fx))
            views.append({"rgb": rgb, "depth": depth, "place": name, "kind": "closeup", "hfov": hfov})
    finally:
        scene.close()
    return name, views


if __name__ == "__main__":
    parser = common.arguments(__doc__)
    parser.add_argument("--spp", type=int, default=4, help="light paths per pixel")
    args = parser.parse_args()
    settings = f"seed={args.seed} portrait={args.portrait} long-side={args.long_side} spp={args.spp}"
    common.run(make_scene, args, "closeups " + settings)
