"""Hooks of the documentation site: files outside ``docs/`` that pages link to become part of the site."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {
    "CONVENTIONS.md": "conventions.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "MODEL_LICENSE.md": "model-license.md",
    "SECURITY.md": "security.md",
    "README.md": "index.md",
    "src/mddnet/models/small/card.md": "model-card.md",
}
"""Files of the repository that are pages of the site, and their names there."""
TRY = "try/index.html"
"""The page that runs in the browser alone, which `make web` writes beside the site."""
LINK = re.compile(r"(\]\()(?!\w+:|#|/)([^)\s#]+)")
FENCE = re.compile(r"^(?:```.*?^```|~~~.*?^~~~)[^\n]*$", re.MULTILINE | re.DOTALL)
ROLE = re.compile(r":(?:class|func|mod|meth|data|attr):<code>~?(?:[\w.]*\.)?([^<.]+)</code>")


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the pages and files outside ``docs/`` that pages link to."""
    for source, page in PAGES.items():
        if files.get_file_from_path(page) is None:
            files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    page_folder = Path(config.site_dir).parent / "web"
    for path in sorted(page_folder.rglob("*")) if (page_folder / "index.html").is_file() else ():
        if path.is_file():
            name = f"{PurePosixPath(TRY).parent}/{path.relative_to(page_folder).as_posix()}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for file in list(files.documentation_pages()):
        for target in linked(_place(file.src_uri), Path(str(file.abs_src_path)).read_text(encoding="utf-8")):
            if target not in PAGES and not target.startswith("docs/") and (ROOT / target).is_file():
                copy = f"files/{target}.txt"
                if files.get_file_from_path(copy) is None:
                    files.append(File.generated(config, copy, content=(ROOT / target).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Turn links of the repository into links of the site, and the name of the page in the browser into a link."""
    if files.get_file_from_path(TRY) is not None:
        markdown = markdown.replace(f"`{TRY}`", f"[{TRY}]({TRY})")
    place = _place(page.file.src_uri)
    here = PurePosixPath(page.file.src_uri).parent

    def replaced(match: re.Match[str]) -> str:
        target = _resolved(place, match[2])
        if target in PAGES:
            target = PAGES[target]
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        elif (ROOT / target).is_file():
            target = f"files/{target}.txt"
        else:
            return match[0]  # the strict build reports it
        return match[1] + os.path.relpath(target, here).replace(os.sep, "/")

    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(replaced, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(replaced, markdown[end:])])


def on_page_content(html: str, **_: Any) -> str:
    """Show Sphinx roles in docstrings as plain names."""
    return ROLE.sub(r"<code>\1</code>", html)


def linked(place: str, markdown: str) -> set[str]:
    """Files of the repository that a page at ``place`` links to."""
    return {_resolved(place, match[2]) for match in LINK.finditer(FENCE.sub("", markdown))}


def _place(src_uri: str) -> str:
    """Path of a page's source in the repository."""
    outside = {page: source for source, page in PAGES.items() if page != "index.md"}
    return outside.get(src_uri, f"docs/{src_uri}")


def _resolved(place: str, target: str) -> str:
    return os.path.normpath(PurePosixPath(place).parent / target).replace(os.sep, "/")
