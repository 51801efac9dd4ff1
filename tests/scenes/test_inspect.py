"""The report of built scenes: statistics, damaged scenes, and escaping of names."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2", reason="the scenes of these tests are made with OpenCV (extra build)")
pytest.importorskip("matplotlib", reason="the report needs matplotlib (extra report)")

from tests.support.made_scenes import KAPPA_PX, make_scene, make_scene_root

from mddnet.cli.main import main
from mddnet.errors import CaptureError
from mddnet.scenes.found import DamagedScene, FoundScene, find_scenes
from mddnet.scenes.inspect import COC_PX_EDGES, evenly_chosen, histograms, measure_scene, measured
from mddnet.scenes.inspect_pictures import blur_order, contact_sheet
from mddnet.scenes.store import read_scene, write_inv_depth


class Page(HTMLParser):
    """Tags and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        # an attribute that runs code
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def facts_of(folder: Path):
    return measure_scene(FoundScene(folder.parent.name, folder))


def change(folder: Path, **values: object) -> None:
    path = folder / "scene.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


# --- measures ---------------------------------------------------------------------------------------------------------


def test_a_scene_by_hand(tmp_path: Path) -> None:
    """Inverse depth from 0.1 to 0.9, kappa 12 px: focused at 0.9 the far end has a CoC of 12 * 0.8 = 9.6 px."""
    facts = facts_of(make_scene(tmp_path, "focal_stacks", "a", "hall", 1))
    assert (facts.width, facts.height) == (128, 96)
    assert facts.unknown_share == pytest.approx(16 / (96 * 128), rel=0.3)
    assert facts.low == pytest.approx(0.1, abs=0.01) and facts.span == pytest.approx(0.8, abs=0.02)
    assert facts.largest_coc_px == pytest.approx(KAPPA_PX * 0.8, rel=0.02)
    assert facts.position(facts.low) == 0 and facts.position(facts.low + facts.span) == pytest.approx(1)
    assert facts.remarks == ()


def test_kappa_is_compared_with_the_lens(tmp_path: Path) -> None:
    """f 50 mm, f/2, 5 um pixels, focused at 1.05 m: 262.5 px per dioptre (the example of optics.kappa_px)."""
    folder = make_scene(tmp_path, "focal_stacks", "a", "hall", 1, unit="1/m")
    frames = [{"file": "frame_00.png", "u_focus": 1 / 1.05, "kappa_px": 525.0}]
    change(folder, frames=frames, lens={"focal_mm": 50, "f_number": 2, "pixel_um": 5})
    facts = facts_of(folder)
    assert facts.kappa_of_lens == pytest.approx(2.0)
    assert "kappa is 2 times that of the lens facts" in facts.remarks


@pytest.mark.parametrize(
    ("values", "remark"),
    [
        ({"frames": []}, "no focused frame"),
        ({"frames": [{"file": "frame_00.png", "u_focus": 0.5, "kappa_px": 0.0}]}, "no blur: the largest CoC is 0 px"),
        ({"frames": [{"file": "frame_00.png", "u_focus": 0.5, "kappa_px": 90.0}]}, "of the image"),
        ({"frames": [{"file": "frame_00.png", "u_focus": 2.5, "kappa_px": 1.0}]}, "1 of 1 planes of focus are outside"),
        ({"measures": {"rerender_error_fraction": 0.8}}, "re-rendering error is 0.80"),
        ({"licence": " "}, "no licence is stated"),
    ],
)
def test_implausible_scenes_get_remarks(tmp_path: Path, values: dict[str, object], remark: str) -> None:
    folder = make_scene(tmp_path, "focal_stacks", "a", "hall", 1)
    change(folder, **values)
    assert any(remark in said for said in facts_of(folder).remarks)


def test_unknown_and_flat_depth_gets_remarks(tmp_path: Path) -> None:
    folder = make_scene(tmp_path, "focal_stacks", "a", "hall", 1)
    u = np.full((96, 128), 0.5, np.float32)
    u[:60] = np.nan
    write_inv_depth(folder / "inv_depth.png", u, "relative")
    assert {"62% of the depth is unknown", "the depth map is flat"} <= set(facts_of(folder).remarks)
    write_inv_depth(folder / "inv_depth.png", u * np.float32(np.nan), "relative")
    with pytest.raises(CaptureError, match="no pixel"):
        facts_of(folder)


def test_histograms_count_shares(tmp_path: Path) -> None:
    drawn = histograms([facts_of(make_scene(tmp_path, "focal_stacks", f"s{seed}", "hall", seed)) for seed in (1, 2)])
    assert [plot.title.partition(",")[0] for plot in drawn] == ["inverse depth", "planes of focus", "signed CoC"]
    assert [plot.shares.sum() for plot in drawn] == pytest.approx([1, 1, 1])
    # focused at its ends and its middle, the CoC is symmetric and at most 9.6 px
    assert drawn[-1].shares[COC_PX_EDGES[:-1] >= 16].sum() == 0


def test_the_order_of_blur_detects_an_inverted_law(tmp_path: Path) -> None:
    sheet = contact_sheet(facts_of(make_scene(tmp_path, "focal_stacks", "a", "hall", 1)))
    assert sheet.blur_order > 0.6 and sheet.facts.remarks == ()
    assert [picture.title.split(":")[0] for picture in sheet.pictures] == [
        "sharp",
        "frame_00.png, focused at 0.1",
        "inverse depth, relative",
        "signed defocus",
    ]
    folder = make_scene(tmp_path, "focal_stacks", "turned", "hall", 1)
    frames = [{"file": f.file, "u_focus": 1 - f.u_focus, "kappa_px": f.kappa_px} for f in read_scene(folder).frames]
    change(folder, frames=frames)
    rotated = contact_sheet(facts_of(folder))
    assert rotated.blur_order < 0 and "contradicts the lens law" in rotated.facts.remarks[0]


def test_a_flat_picture_has_no_order_of_blur() -> None:
    flat = np.full((40, 40, 3), 90, np.uint8)
    assert np.isnan(blur_order(flat, flat, np.ones((40, 40), np.float32)))


# --- finding ----------------------------------------------------------------------------------------------------------


def test_half_built_scenes_count_as_damaged_and_hidden_folders_do_not(tmp_path: Path) -> None:
    make_scene(tmp_path, "rgbd", "whole", "hall", 1)
    (tmp_path / "rgbd/half").mkdir()
    (tmp_path / ".building/x").mkdir(parents=True)
    (tmp_path / "notes/x").mkdir(parents=True)
    found = find_scenes(tmp_path)
    assert [(scene.kind, scene.folder.name) for scene in found] == [("rgbd", "half"), ("rgbd", "whole")]
    assert isinstance(measured(found[0]), DamagedScene)
    with pytest.raises(CaptureError, match="no such folder"):
        find_scenes(tmp_path / "nowhere")


def test_chosen_scenes_are_evenly_spread(tmp_path: Path) -> None:
    scenes = [facts_of(make_scene(tmp_path, "rgbd", f"s{i}", "hall", i, (24, 32))) for i in range(5)]
    assert [facts.folder.name for facts in evenly_chosen(scenes, 3)] == ["s0", "s2", "s4"]
    assert evenly_chosen(scenes, 0) == [] and len(evenly_chosen(scenes, 9)) == 5


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_complete_and_self_contained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    (root / "rejected.csv").write_text(
        "group,scene,place,split,state,reason\nfocal_stacks,flat,hall,dev,rejected,blur explains 0.97\n"
    )
    assert main(["inspect", str(root), "-o", str(tmp_path / "new/report.html"), "--split", str(split)]) == 0
    text = (tmp_path / "new/report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags and "link" not in page.tags
    assert page.links and all(link.startswith("data:image/") for link in page.links)
    assert page.tags.count("img") == 5 * 4 + 2
    said = " ".join(page.texts)
    for expected in ("blur explains 0.97", "Apache-2.0", "focal_stacks: 4 scenes", "place_d, dev"):
        assert expected in said
    assert "5 scenes, 15 samples, 0 damaged, 1 captures without a scene" in capsys.readouterr().out
    assert len(text) < 1_000_000


@pytest.mark.slow
def test_limit_applies_to_pictures_only(tmp_path: Path) -> None:
    root, _ = make_scene_root(tmp_path / "scenes")
    assert main(["inspect", str(root), "-o", str(tmp_path / "r.html"), "--limit", "1"]) == 0
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert Page(text).tags.count("img") == 2 * 4 + 2
    assert all(f"<td>{name}</td>" in text for name in ("a1", "a2", "b", "c", "d"))


def test_the_split_of_the_build_is_the_default(tmp_path: Path) -> None:
    make_scene(tmp_path / "s", "rgbd", "a", "hall", 1)
    (tmp_path / "s/build.csv").write_text("group,scene,place,split\nrgbd,a,hall,dev\n")
    assert main(["inspect", str(tmp_path / "s"), "-o", str(tmp_path / "r.html")]) == 0
    assert "hall, dev;" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    root = tmp_path / "s<b>&'\""
    folder = make_scene(root, "rgbd", "a", "hall", 1)
    change(folder, location=evil, licence=f'"{evil}', source="'><img src=x onerror=alert(1)>", unit="relative")
    folder.rename(folder.with_name('n"><svg onload=alert(1)>'))
    (root / "rejected.csv").write_text(f"group,scene,place,split,state,reason\n{evil},b,{evil},dev,{evil},{evil}\n")
    (root / "rgbd/<i>half").mkdir()
    assert main(["inspect", str(root), "-o", str(tmp_path / "r.html")]) == 1
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "i", "b"} & set(page.tags)
    assert all(link.startswith("data:image/") for link in page.links)
    assert evil in "".join(page.texts)


def test_damaged_scenes_are_listed_and_others_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, _ = make_scene_root(tmp_path / "scenes")
    (root / "focal_stacks/a1/scene.json").write_text("{")
    (root / "focal_stacks/a2/frame_01.png").unlink()
    sharp = root / "focal_stacks/b/sharp.png"
    sharp.write_bytes(sharp.read_bytes()[:300])  # the header is whole
    Image.new("RGB", (9, 9)).save(root / "rgbd/c/frame_00.png")
    assert main(["inspect", str(root), "-o", str(tmp_path / "r.html")]) == 1
    told = capsys.readouterr()
    assert "1 scenes, 3 samples, 4 damaged" in told.out
    said = " ".join(Page((tmp_path / "r.html").read_text(encoding="utf-8")).texts)
    for name in ("a1/scene.json", "a2/frame_01.png", "b/sharp.png", "c/frame_00.png: 9 x 9 pixels"):
        assert name in told.err and name in said


def test_decode_finds_truncated_frames(tmp_path: Path) -> None:
    folder = make_scene(tmp_path, "rgbd", "a", "hall", 1)
    path = folder / "frame_00.png"
    path.write_bytes(path.read_bytes()[:-400])
    found = FoundScene("rgbd", folder)
    assert not isinstance(measured(found), DamagedScene)
    cut = measured(found, decode=True)
    assert isinstance(cut, DamagedScene) and "frame_00.png" in cut.reason


@pytest.mark.parametrize(
    "arguments", [["--limit", "-1"], ["--split", "no.csv"], []], ids=["limit", "split", "out is a folder"]
)
def test_usage_errors_exit_with_2(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path if not arguments else tmp_path / "r.html"
    assert main(["inspect", str(tmp_path), "-o", str(out), *arguments]) == 2
    assert "expected" in capsys.readouterr().err.lower()


def test_an_empty_folder_gives_an_error_with_the_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path), "-o", str(tmp_path / "r.html")]) == 1
    assert "mddnet build" in capsys.readouterr().err
