"""The whole study in small: trained, measured, started again, and written into a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from research.claims.counterparts import counterpart
from research.claims.page import filled
from research.claims.page import main as make_page
from research.claims.results import Line, read_lines, read_results, restore, write_lines
from research.claims.run import main as run_study
from tests.support.made_scenes import make_scene
from tests.support.quick_export import quick_export_graph

from mddnet.data.scene_pool import open_by_split
from mddnet.metrics import smoothed_laplacian
from mddnet.optics import signed_defocus_px
from mddnet.scenes.store import read_image, read_inv_depth

PAGE = """# Claims

<!-- claims -->
outdated
<!-- end of claims -->

words

<!-- tables -->
outdated
<!-- end of tables -->
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of three folds, and of the calib split."""
    root = tmp_path_factory.mktemp("study")
    split = {}
    for n in range(3):
        make_scene(root / "scenes", "focal_stacks", f"s{n}", f"stack{n}", n)
        make_scene(root / "scenes", "views", f"v{n}", f"views/{n}", 10 + n, unit="1/m")
        split |= {f"stack{n}": "train", f"views/{n}": "dev" if n else "train"}
    make_scene(root / "scenes", "focal_stacks", "c", "calib_stack", 20)
    split["calib_stack"] = "calib"
    (root / "split.csv").write_text("place,split\n" + "".join(f"{name},{part}\n" for name, part in split.items()))
    return root


def study(made: Path, work: Path, *rows: str) -> int:
    return run_study(
        work_folder=work,
        scenes=made / "scenes",
        split=made / "split.csv",
        data=made / "none",
        peers=made / "none",
        measures=made / "none",
        steps=2,
        batch=2,
        crop=(64, 64),
        pretrained=False,
        jobs=1,
        rows=rows,
        folds=(0,),
    )


@pytest.mark.slow
def test_study_is_trained_measured_and_written(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mddnet.export.onnx.export_graph", quick_export_graph)
    work = tmp_path / "work"
    assert study(made, work, "full", "depth", "defocus", "coarse", "real", "rendered", "zhuo-sim") == 0
    lines = read_results(work / "results")
    assert {line.row for line in lines} == {
        "full", "fused", "depth", "defocus", "coarse", "real", "rendered", "zhuo-sim",
    }  # fmt: skip
    # of the first fold, none of them trained on
    assert {line.location for line in lines if line.row == "full" and line.part == "outer"} == {"stack0", "views/1"}
    assert {line.location for line in lines if line.row == "coarse" and line.part == "inner"} == {"calib_stack"}
    full = next(line for line in lines if line.row == "full" and line.kind == "focal_stacks" and line.part == "outer")
    assert full.measures.keys() >= {"depth_error", "depth_error_sharp", "coc_mae_px_weak", "sign_accuracy", "photos"}
    assert not {"coc_mae_px", "depth_error"} <= next(line for line in lines if line.row == "depth").measures.keys()
    assert not list(work.rglob("checkpoint.safetensors")) and "full-0: done" in (work / "log.txt").read_text()
    # what is done is not repeated; what is lost is
    capsys.readouterr()
    (work / "results" / "depth-0.csv").unlink()
    assert study(made, work, "full", "depth") == 0
    assert "depth-0: started" in (out := capsys.readouterr().out) and "full-0" not in out

    docs = tmp_path / "docs"
    (docs / "figures").mkdir(parents=True)
    (docs / "claims.md").write_text(PAGE)
    assert make_page(work=work, docs=docs) == 0
    text = (docs / "claims.md").read_text()
    assert "outdated" not in text and "words" in text and "| 3 | defocus helps depth |" in text and "not run" in text
    assert "CoC: full / defocus alone" in text and (docs / "figures" / "claims.svg").is_file()
    assert make_page(docs=docs) == 0 and (docs / "claims.md").read_text() == text


@pytest.mark.slow
def test_failed_run_is_logged_and_others_are_done(made: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "runs" / "depth-0").mkdir(parents=True)
    (work / "runs" / "depth-0" / "checkpoint.safetensors").write_text("damaged")
    assert study(made, work, "vertical-position", "depth") == 1
    log = (work / "log.txt").read_text()
    assert "depth-0: failed" in log and "not a readable checkpoint" in log
    assert {line.row for line in read_results(work / "results")} == {"vertical-position"}


def test_page_of_made_numbers(tmp_path: Path) -> None:
    """A quarter less error of depth on every location of three folds, and no other result."""
    kinds = ("focal_stacks", "views")
    lines = [
        Line(f"{row}-{fold}", "abc", row, fold, "outer", kind, f"{kind}{fold}", {"depth_error": error * (1 + fold)})
        for row, error in (("depth", 0.2), ("full", 0.15))
        for fold in range(3)
        for kind in kinds
    ]
    docs = tmp_path / "docs"
    (docs / "figures").mkdir(parents=True)
    (docs / "claims.md").write_text(PAGE)
    write_lines(docs / "results" / "claims" / "measures.csv", lines)
    assert make_page(docs=docs) == 0
    text = (docs / "claims.md").read_text()
    assert "outdated" not in text and "words" in text
    effect = "**+25.0 % (+25.0 to +25.0)**"
    row = f"| 3 | defocus helps depth | **shown** | depth: full / depth alone | {effect} | - | {effect} | - |"
    assert row in text and "| 2 | depth helps defocus | **not run** |" in text
    assert "Numbers of networks of mddnet" in text and "6 of 32 planned runs" in text
    assert (docs / "figures" / "claims.svg").is_file()
    assert make_page(docs=docs) == 0 and (docs / "claims.md").read_text() == text


def test_runs_of_the_committed_table_are_restored(tmp_path: Path) -> None:
    lines = [Line(f"{row}-0", "abc", row, 0, "outer", "views", "a", {"depth_error": 0.25}) for row in ("full", "depth")]
    write_lines(tmp_path / "measures.csv", lines)
    newer = [Line("depth-0", "def", "depth", 0, "outer", "views", "a", {"depth_error": 0.5})]
    write_lines(tmp_path / "results" / "depth-0.csv", newer)
    restore(tmp_path / "measures.csv", tmp_path / "results")
    assert read_results(tmp_path / "results") == [*newer, lines[0]]
    restore(tmp_path / "none.csv", tmp_path / "results")


def test_page_without_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_page(work=tmp_path, docs=tmp_path) == 1
    assert "no results" in capsys.readouterr().err
    with pytest.raises(ValueError, match="lacks <!-- tables -->"):
        filled(PAGE.partition("words")[0], {"claims": "new", "tables": "new"})


def test_numbers_round_trip_through_the_file(tmp_path: Path) -> None:
    lines = [
        Line("full-0", "abc", "full", 0, "inner", "rgbd", "rgbd/x", {"depth_error": 0.123456, "photos": 4.0}),
        Line("row", "-", "row", 0, "outer", "stereo", "stereo/y", {"depth_ordinal": 0.5}),
    ]
    write_lines(tmp_path / "m.csv", lines)
    back = read_lines(tmp_path / "m.csv")
    assert back[0].measures == {"depth_error": 0.1235, "photos": 4.0} and back[1].measures == {"depth_ordinal": 0.5}
    assert [(b.run, b.recipe, b.row, b.fold, b.part, b.kind, b.location) for b in back] == [
        (a.run, a.recipe, a.row, a.fold, a.part, a.kind, a.location) for a in lines
    ]
    assert read_lines(tmp_path / "none.csv") == []
    (tmp_path / "m.csv").write_text("run,fold\nx,y\n")
    with pytest.raises(ValueError, match=r"m\.csv: not .*table"):
        read_lines(tmp_path / "m.csv")


def test_counterpart_has_same_truth_and_rendered_blur(made: Path, tmp_path: Path) -> None:
    locations = {f"stack{n}": "train" for n in range(3)} | {"calib_stack": "calib"}
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
