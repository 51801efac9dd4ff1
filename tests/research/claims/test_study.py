"""The whole study in its quick form, started twice, and its tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from research.claims.counterparts import counterpart
from research.claims.methods import CLASSICAL
from research.claims.plan import FRAMES, LADDER, LONGER
from research.claims.results import Line, read_lines, write_lines
from research.claims.run import main as run_study
from research.claims.run import one_run
from research.claims.table import main as make_tables
from research.claims.table import tables
from tests.support.made_scenes import make_scene

from mddnet.data.scene_pool import open_by_split
from mddnet.metrics import smoothed_laplacian
from mddnet.optics import signed_defocus_px
from mddnet.scenes.store import read_image, read_inv_depth

pytestmark = pytest.mark.slow

PAGE = "# Claims\n\nwords\n\n<!-- tables -->\n<!-- end of tables -->\n\nmore words\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of two folds, with the locations in ``split.csv``."""
    root = tmp_path_factory.mktemp("study")
    locations = []
    for n in range(4):
        make_scene(root / "scenes", "focal_stacks", f"s{n}", f"stack{n}", n)
        make_scene(root / "scenes", "stereo", f"m{n}", f"stereo/{n}", 10 + n, unit="1/m")
        locations += [f"stack{n}", f"stereo/{n}"]
    make_scene(root / "scenes", "photos", "p", "photos/x", 20, capture="photo")
    (root / "split.csv").write_text("place,split\n" + "".join(f"{location},train\n" for location in locations))
    return root


def arguments(made: Path) -> list[str]:
    found = ["--scenes", str(made / "scenes"), "--data", str(made), "--work", str(made / "work")]
    return [*found, "-o", str(made / "results"), "--quick"]


def test_quick_study_makes_tables(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_study(arguments(made)) == 0
    lines = read_lines(made / "results" / "measures.csv")
    rows = {line.row for line in lines}
    assert rows >= {row.name for row in (*LADDER, *FRAMES, *LONGER)} | {"row", "sharpness", "mean-map", *CLASSICAL}
    # of the first fold of two: half the locations, none of them trained on
    assert {line.location for line in lines if line.row == "full"} == {"stack0", "stack2", "stereo/0", "stereo/2"}
    full = next(line for line in lines if line.row == "full" and line.kind == "stereo")
    assert {"depth_error", "abs_rel", "coc_mae_px", "coc_mae_px_weak", "sign_accuracy"} <= full.measures.keys()
    before = (made / "results" / "measures.csv").read_bytes()
    capsys.readouterr()
    # everything exists: nothing is trained or changed
    assert run_study(arguments(made)) == 0
    assert "min" not in capsys.readouterr().out
    assert (made / "results" / "measures.csv").read_bytes() == before

    page = made / "claims.md"
    page.write_text(PAGE)
    for _ in range(2):
        assert make_tables([str(made / "results" / "measures.csv"), "-o", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("# Claims\n\nwords\n") and text.endswith("more words\n")
    assert text.count("### The ladder, real blur") == 1 and "| full: reduction from defocus alone |" in text


def test_failed_run_is_reported_and_others_are_done(
    made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work, results = tmp_path / "work", tmp_path / "results"
    work.mkdir()
    (work / "runs").write_text("in the way of the folder of the runs")
    args = arguments(made)
    args[5], args[7] = str(work), str(results)
    assert run_study([*args, "--rows", "row", "depth"]) == 1
    assert "depth-0: failed, see" in capfd.readouterr().out
    assert {line.row for line in read_lines(results / "measures.csv")} == {"row"}
    assert "runs" in (work / "depth-0.log").read_text()
    (work / "runs").unlink()
    assert run_study([*args, "--rows", "row", "depth"]) == 0
    assert {line.row for line in read_lines(results / "measures.csv")} == {"row", "depth"}


def test_results_of_an_orphaned_run_are_used(made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its lines are in the work folder only."""
    work, results = tmp_path / "work", tmp_path / "results"
    args = arguments(made)
    args[5] = str(work)
    assert run_study([*args[:-3], "-o", str(work / "depth-0.csv"), "--quick", "--only", "depth-0"]) == 0
    args[7] = str(results)
    assert run_study([*args, "--rows", "depth"]) == 0
    assert "depth-0: 0.0 min" in capfd.readouterr().out
    assert not (work / "depth-0.log").exists()  # no process was started
    assert {line.run for line in read_lines(results / "measures.csv")} == {"depth-0"}


def test_existing_results_of_missing_packages_are_kept(made: Path, tmp_path: Path) -> None:
    """Results of a baseline whose package is not installed are kept, those of another recipe are not."""
    measures = tmp_path / "results" / "measures.csv"
    baseline = Line("elsewhere", "-", "elsewhere", -1, "stereo", "stereo/0", {"depth_ordinal": 0.7})
    write_lines(measures, [baseline, Line("depth-0", "old", "depth", 0, "stereo", "stereo/0", {"depth_ordinal": 0.5})])
    args = arguments(made)
    args[5], args[7] = str(tmp_path / "work"), str(measures.parent)
    assert run_study([*args, "--rows", "row"]) == 0
    assert {line.run for line in read_lines(measures)} == {"elsewhere", "row"}


def test_numbers_round_trip_through_the_file(tmp_path: Path) -> None:
    lines = [
        Line("full-0", "abc", "full", 0, "rgbd", "rgbd/x", {"depth_error": 0.123456, "photos": 4.0}),
        Line("row", "-", "row", -1, "stereo", "stereo/y", {"depth_ordinal": 0.5}),
    ]
    write_lines(tmp_path / "m.csv", lines)
    back = read_lines(tmp_path / "m.csv")
    assert back[0].measures == {"depth_error": 0.1235, "photos": 4.0} and back[1].measures == {"depth_ordinal": 0.5}
    assert [(b.run, b.recipe, b.row, b.fold, b.kind, b.location) for b in back] == [
        (a.run, a.recipe, a.row, a.fold, a.kind, a.location) for a in lines
    ]
    assert read_lines(tmp_path / "none.csv") == []
    (tmp_path / "m.csv").write_text("run,fold\nx,y\n")
    with pytest.raises(ValueError, match=r"m\.csv: not .*table"):
        read_lines(tmp_path / "m.csv")


def test_values_of_a_step_of_the_ladder() -> None:
    """Two locations; CoC errors of 4 and 2 px by the single task, 3 and 1.5 by two decoders: a quarter less on each."""

    def line(row: str, location: str, **measures: float) -> Line:
        return Line(f"{row}-0", "-", row, 0, "stereo", location, measures)

    lines = [
        line("defocus", "a", coc_mae_px=4.0),
        line("defocus", "b", coc_mae_px=2.0),
        line("two", "a", coc_mae_px=3.0),
        line("two", "b", coc_mae_px=1.5),
    ]
    text = tables(lines)
    assert "| two decoders on one encoder | defocus alone | defocus | - | +25.0 % (+25.0 to +25.0) | - | - |" in text
    assert "| defocus alone | 3.00 (2.00 to 4.00) |" in text


def test_long_rows_are_compared_on_common_locations() -> None:
    """Errors of 4 and 2 px alone, and 3 px by two decoders on the first fold only: a quarter less there."""

    def line(row: str, fold: int, error: float) -> Line:
        return Line(
            f"{row}-{fold}", "-", row, fold, "rgbd", f"place{fold}", {"coc_mae_px": error, "coc_mae_px_weak": 1}
        )

    lines = [line("defocus-long", 0, 4.0), line("defocus-long", 1, 2.0), line("two-long", 0, 3.0)]
    text = tables(lines)
    longer = text.partition("### Trained three times as long")[2].partition("###")[0]
    assert "| defocus alone | 3.00 (2.00 to 4.00) |" in longer
    assert "| two decoders on one encoder (1 of 2 folds) | 3.00 (3.00 to 3.00) |" in longer
    assert "| defocus alone | defocus | - | +25.0 % (+25.0 to +25.0) | - | +0.0 % (+0.0 to +0.0) |" in longer
    assert "soft connection" not in longer
    # with fitted curves, only fold 0 is compared, before and after
    calibrated = [line("defocus-long", 0, 2.0), line("two-long", 0, 2.0)]
    section = tables(lines, calibrated).partition("fitted defocus curves")[2].partition("###")[0]
    assert "runs defocus-long-0, two-long-0." in section
    assert section.index("+25.0 % (") < section.index("+0.0 % (+0.0 to +0.0) | - | +0.0 %")
    retrained = [replace(one, recipe="another") for one in lines]
    assert "fitted defocus curves" not in tables(retrained, calibrated)


def test_counterpart_has_same_truth_and_rendered_blur(made: Path, tmp_path: Path) -> None:
    locations = {f"{kind}{n}": "train" for kind in ("stack", "stereo/") for n in range(4)}
    entries = open_by_split(made / "scenes", locations, ("train",))["train"]  # type: ignore[arg-type]
    real = next(entry for entry in entries if entry.record.name == "s1")
    rendered = counterpart(real, tmp_path, 2)
    assert rendered.group == "focal_stacks" and rendered.record.provenance == "rendered"
    assert [(f.u_focus, f.kappa_px) for f in rendered.record.frames] == [
        (f.u_focus, f.kappa_px) for f in (real.record.frames[0], real.record.frames[-1])
    ]
    u = read_inv_depth(real.folder / real.record.inv_depth)
    u_counterpart = read_inv_depth(rendered.folder / rendered.record.inv_depth)
    assert np.array_equal(np.isfinite(u), np.isfinite(u_counterpart))
    assert np.nanmax(np.abs(u - u_counterpart)) < 1e-3
    frame = rendered.record.frames[-1]
    coc = np.abs(signed_defocus_px(u_counterpart, frame.u_focus, frame.kappa_px))
    sharpness = smoothed_laplacian(read_image(rendered.folder / frame.file), 2.0)
    assert np.nanmedian(sharpness[coc < 1.5]) > 3 * np.nanmedian(sharpness[coc > 6])
    stamp = (rendered.folder / "scene.json").stat().st_mtime_ns
    counterpart(real, tmp_path, 2)
    assert (rendered.folder / "scene.json").stat().st_mtime_ns == stamp  # not rendered again


def test_one_run_is_evaluated_on_held_out_locations(made: Path, tmp_path: Path) -> None:
    from research.claims.plan import QUICK, Run
    from research.claims.run import all_scenes

    entries = all_scenes(made / "scenes", made / "split.csv")
    lines = one_run(Run(LADDER[1], 1, QUICK), entries, [], tmp_path, 2)
    assert {line.location for line in lines} == {"stack1", "stack3", "stereo/1", "stereo/3"}
    assert all("coc_mae_px" in line.measures and "depth_ordinal" not in line.measures for line in lines)
    assert (tmp_path / "runs" / "defocus-1" / "model" / "model.safetensors").is_file()
