"""No package under GPL or AGPL comes into the base or an extra, but for the exceptions that docs/licences.md names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.site.licences import ALLOWED_GPL, BASE, COPYLEFT, Package, extras, not_allowed, packages_of, requested
from packaging.requirements import Requirement

PAGE = Path(__file__).parents[1] / "docs" / "licences.md"


@pytest.mark.parametrize("extra", [BASE, *extras()])
def test_no_copyleft_but_the_named_exceptions(extra: str) -> None:
    packages, _ = packages_of(extra)
    assert not list(not_allowed(extra, packages))
    assert not [one.name for one in packages if one.direct and one.licence == "not stated"]


def test_the_check_sees_what_it_looks_for() -> None:
    gpl = Package("a", "1", "GPL-3.0-or-later", (), (), True)
    either = Package("b", "1", "MIT OR GPL-2.0-only", (), (), True)
    wheel = Package("c", "1", "MIT", ("x264",), (), True)
    found = list(not_allowed(BASE, [gpl, either, wheel]))
    assert len(found) == 2 and "a is under GPL-3.0" in found[0] and "c bundles x264" in found[1]
    for text in ("AGPL-3.0", "GNU General Public License v3 (GPLv3)", "GPL-2.0-only"):
        assert COPYLEFT.search(text), text
    for text in (
        "LGPL-2.1",
        "GNU Lesser General Public License v3",
        "GNU Library or Lesser General Public License (LGPL)",
    ):
        assert not COPYLEFT.search(text), text


def test_the_exceptions_are_named_and_still_needed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    packages, missing = packages_of("formats")
    bundled = {("formats", one.name.lower().replace("_", "-"), library) for one in packages for library in one.gpl}
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    assert bundled == ALLOWED_GPL
    for _, package, library in ALLOWED_GPL:
        assert package in text and library in text


def test_the_page_names_every_direct_dependency() -> None:
    text = PAGE.read_text(encoding="utf-8").lower().replace("_", "-")
    for extra in (BASE, *extras()):
        for requirement in requested(extra):
            name = Requirement(requirement).name.lower().replace("_", "-")
            assert re.search(rf"\b{re.escape(name)}\b", text), f"{name} of {extra}: make licences"
