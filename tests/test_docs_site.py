"""The site: it builds without a warning, needs nothing from other machines, and its figures are those of the script."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mddnet

ROOT = Path(__file__).parents[1]
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=["']?(?:https?:)?//"""
    r"""|<link\b(?=[^>]*rel=["']?(?:stylesheet|preload|preconnect|icon|modulepreload))[^>]*href=["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    pytest.importorskip("material", reason="needs the extra docs")
    pytest.importorskip("mkdocstrings", reason="needs the extra docs")
    out = tmp_path_factory.mktemp("site")
    # proxies that lead nowhere: what the build would fetch, it could not
    nowhere = dict.fromkeys(
        ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
    )
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    return out


@pytest.mark.slow
def test_every_page_is_there(site: Path) -> None:
    pages = ("index", "defocus", "capture", "how-it-works", "limits", "model-card", "models", "contributing")
    for name in (*pages, "results/index", "api/predict"):
        assert (site / f"{name}.html").is_file(), name
    text = (site / "api" / "predict.html").read_text(encoding="utf-8")
    assert 'id="mddnet.predict.predictor.load"' in text
    assert not re.search(r":(?:class|func|meth|mod):<code>", text)


@pytest.mark.slow
def test_a_reader_needs_no_other_machine(site: Path) -> None:
    for path in site.rglob("*.html"):
        found = FETCHED.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path.relative_to(site)}: {found[0] if found else ''}"
    for path in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?https?:|@import", path.read_text(encoding="utf-8")), path.name


@pytest.mark.slow
def test_figures_are_those_that_the_script_draws(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    np = pytest.importorskip("numpy")
    from PIL import Image

    figures = ROOT / "docs" / "figures"
    subprocess.run([sys.executable, str(figures / "lens_law.py"), str(tmp_path)], check=True, cwd=ROOT)
    for name in ("rays.svg", "law.svg"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (figures / name).read_text(encoding="utf-8"), name
    drawn, kept = (np.asarray(Image.open(folder / "discs.png"), np.float32) for folder in (tmp_path, figures))
    assert drawn.shape == kept.shape and np.abs(drawn - kept).mean() < 1.0


def test_the_citation_states_the_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(mddnet.__version__)}$", text, re.MULTILINE)
    assert "2208.09848" in text and re.search(r"^cff-version: 1\.2\.0$", text, re.MULTILINE)


def test_the_licence_of_the_weights_names_every_source_of_the_card() -> None:
    licence = (ROOT / "MODEL_LICENSE.md").read_text(encoding="utf-8")
    card = (ROOT / "src" / "mddnet" / "models" / "small" / "card.md").read_text(encoding="utf-8")
    sources = set(re.findall(r"\b[\w-]+/[\w.-]*[A-Z][\w.-]*\b", card.split("## Trained on")[1].split("\n## ")[0]))
    assert sources
    for source in sources:
        assert source in licence, f"{source} is in the card and not in MODEL_LICENSE.md"
    assert "research" in licence
