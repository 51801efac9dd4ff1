"""``mddnet inspect``: a report of built scenes."""

from __future__ import annotations

import sys
from pathlib import Path

from mddnet.cli.flags import Flag, OutFile, SplitFile, Whole


def inspect(
    scenes: Path,
    /,
    *,
    out: OutFile,
    limit: Whole = 12,
    split: SplitFile | None = None,
    decode: Flag = False,
) -> int:
    """Write a report of built scenes: one HTML page with pictures, histograms, rejections, licences and warnings.

    The page is self-contained. Damaged scenes are listed with their errors; the exit code is 1 if there are any.

    Args:
        scenes: Folder of scenes written by mddnet build.
        out: The page, for example report.html.
        limit: Maximum number of scenes per kind with pictures; the tables list all scenes.
        split: CSV file with place,split; by default build.csv in the folder of scenes.
        decode: Decode every frame instead of reading its header; this finds truncated images.
    """
    from mddnet.cli.progress import with_progress
    from mddnet.data.split import read_split
    from mddnet.errors import CaptureError, MddnetError
    from mddnet.scenes.build_tables import read_table, split_of_build
    from mddnet.scenes.found import DamagedScene, find_scenes
    from mddnet.scenes.inspect import Inspection, SceneFacts, evenly_chosen, measured
    from mddnet.scenes.inspect_page import write_report
    from mddnet.scenes.inspect_pictures import contact_sheet

    found = find_scenes(scenes)
    rejected = read_table(scenes / "rejected.csv")
    if not found and not rejected:
        raise CaptureError(f"{scenes}: no scene (a folder with scene.json) in it; build scenes with `mddnet build`")
    splits = split_of_build(scenes) if split is None else {**read_split(split)}
    results = [measured(scene, decode) for scene in with_progress("reading", found, len(found))]
    sheets = []
    chosen = evenly_chosen([result for result in results if isinstance(result, SceneFacts)], limit)
    for facts in with_progress("pictures", chosen, len(chosen)):
        try:
            sheets.append(contact_sheet(facts))
        except MddnetError as error:
            # The header is intact, the pixels are not.
            results[results.index(facts)] = DamagedScene(facts.kind, facts.folder.name, str(error))
    complete = [result for result in results if isinstance(result, SceneFacts)]
    damaged_scenes = [result for result in results if isinstance(result, DamagedScene)]
    inspection = Inspection(complete, damaged_scenes, rejected, splits)
    write_report(out, scenes.resolve().name, inspection, sheets)
    for damaged in inspection.damaged:
        print(f"mddnet: {damaged.reason}", file=sys.stderr)
    samples = sum(len(facts.record.frames) for facts in inspection.scenes)
    print(
        f"{len(inspection.scenes)} scenes, {samples} samples, {len(inspection.damaged)} damaged, {len(rejected)} "
        f"captures without a scene -> {out}"
    )
    return 1 if inspection.damaged else 0
