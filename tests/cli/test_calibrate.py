from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import SmallRig

from mddnet.cli.main import main

pytest.importorskip("scipy", reason="calibration needs SciPy (extra build)")
pytest.importorskip("cv2", reason="calibration needs OpenCV (extra build)")

from tests.support.made_focal_stack import made_stack, write_made_stack

from mddnet.scenes.capture_calibration import CaptureCalibration, Quantity, pooled


@pytest.mark.slow
def test_a_rig_prints_a_and_e_with_intervals(
    small_rig: SmallRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(small_rig.folder), "--json", str(tmp_path / "lens.json")]) == 0
    text = capsys.readouterr().out
    assert "table: A = " in text and " +- " in text and "e = 24.0" in text and "(95 %)" in text
    (capture,) = json.loads((tmp_path / "lens.json").read_text())["captures"]
    a, e = capture["quantities"]
    assert a["name"] == "A" and a["value"] == pytest.approx(small_rig.truth.aperture_px, rel=0.01) and a["error"] > 0
    assert e["name"] == "e" and e["value"] == pytest.approx(24.0, abs=0.2)


def test_a_focal_stack_prints_kappa(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = made_stack(1.2 * np.arange(9))
    write_made_stack(tmp_path / "slabs", made.frames)
    lost = write_made_stack(tmp_path / "lost", made.frames)
    (lost / "frame_03.png").unlink()
    assert main(["calibrate", str(tmp_path), "--json", str(tmp_path / "lens.json")]) == 1
    printed = capsys.readouterr()
    assert "slabs: kappa = " in printed.out and "px per sweep" in printed.out
    assert "frame_03.png" in printed.err
    found = {c["name"]: c for c in json.loads((tmp_path / "lens.json").read_text())["captures"]}
    assert found["slabs"]["quantities"][0]["value"] == pytest.approx(1.2 * 8, rel=0.1)
    assert found["lost"]["reason"] and not found["lost"]["quantities"]


def test_known_dioptres_give_kappa_per_dioptre(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = made_stack(1.2 * np.arange(9))
    focus = {"unit": "1/m", "values": [0.5 * i for i in range(9)]}
    lens = {"focal_mm": 50, "f_number": 25, "pixel_um": 40}
    folder = write_made_stack(tmp_path / "slabs", made.frames, focus=focus, lens=lens)
    assert main(["calibrate", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "px per 1/m" in text and "from f, N and pixel pitch: 2.5" in text
    assert float(text.split("kappa = ")[1].split()[0]) == pytest.approx(2.4, rel=0.1)


def test_the_exit_code_is_2_for_wrong_usage_and_1_for_missing_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(tmp_path), "--limit", "0"]) == 2
    assert main(["calibrate", str(tmp_path), "--json", str(tmp_path)]) == 2
    assert main(["calibrate", str(tmp_path)]) == 1
    assert "no captures" in capsys.readouterr().err


def test_captures_of_one_rig_are_pooled() -> None:
    def capture(a: float, error: float) -> CaptureCalibration:
        return CaptureCalibration("rigs", "x", (Quantity("A", a, error, "px"), Quantity("e", 24.0, 0.01, "mm")))

    a, e = pooled([capture(100, 1), capture(102, 1), capture(100.5, 100)])
    assert a.value == pytest.approx(101, abs=0.01)
    assert a.error > 1 / np.sqrt(2)  # the two disagree by more than their errors say
    assert e.value == pytest.approx(24.0) and e.error == pytest.approx(0.01 / np.sqrt(3))
    assert pooled([capture(100, 1)]) == ()
