"""Values of every kind for every field: extreme values of JSON, TOML and CSV."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

from tests.support.fuzz import draw as st

PLAIN: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 65535, 65536, 2**31, -(2**31), 2**63, 2**64, 10**30, 10**400, -(10**400)),
    *(0.5, -0.0, 1e-300, 5e-324, 1e16, 1e155, 1e308, -1e308, math.nan, math.inf, -math.inf),
)
TEXTS = (
    *(
        "",
        " ",
        ".",
        "..",
        "../../x",
        "/etc/passwd",
        "//etc/passwd",
        "a/b/c",
        "C:\\x",
        "C:x",
        "con",
        "~",
        "-",
        "a\0b",
        "\n",
    ),
    *(
        "nan",
        "inf",
        "1e999",
        "0x10",
        "1_000",
        "true",
        "null",
        "50",
        "1/0",
        "\ud800",
        "\U0010ffff",
        "\u202e",
        "caf\u00e9",
    ),
    *("x" * 256, "y" * 5000, "{scene}", "{scene.__class__}", "%s%n", "${HOME}", "$(id)", "*", "**", "a;b", "a,b", '"'),
)
DEEP_LIST, DEEP_OBJECT, LONG_NUMBER = "@@deep list@@", "@@deep object@@", "@@long number@@"
_WRITTEN = {
    json.dumps(DEEP_LIST): "[" * 100_000 + "]" * 100_000,
    json.dumps(DEEP_OBJECT): '{"a":' * 30_000 + "1" + "}" * 30_000,
    json.dumps(LONG_NUMBER): "9" * 6000,
}
"""Values that Python cannot serialise, by their placeholder."""


def any_text() -> st.Strategy[str]:
    """A text; many of them mean something to a file system, a shell or a parser of numbers."""
    return st.one_of(st.sampled_from(TEXTS), st.text(max_size=12))


def any_value() -> st.Strategy[Any]:
    """A JSON value of any kind, three levels deep at most but for one that is deeper than any stack."""
    leaf = st.one_of(
        st.sampled_from(PLAIN),
        st.sampled_from(PLAIN),
        any_text(),
        st.floats(),
        st.integers(),
        st.sampled_from((DEEP_LIST, DEEP_OBJECT, LONG_NUMBER)),
    )
    several = st.lists(leaf, max_size=5)
    return st.one_of(
        leaf,
        leaf,
        several,
        st.dictionaries(any_text(), leaf, max_size=3),
        st.lists(several, max_size=4),
        st.builds(
            lambda value, count: [value] * (count // (1 + len(repr(value)) // 40)),
            leaf,
            st.sampled_from((1000, 20_000)),
        ),
    )


def positions(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a document with each key or index in it, outermost first."""
    pairs = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(pairs):
        yield document, key
        yield from positions(value)


@st.composite
def edited_json(draw: st.Draw, document: Any) -> bytes:
    """A document with one to three fields replaced, left out, repeated or added, as JSON."""
    data = copy.deepcopy(document)
    if draw(st.integers(0, 30)) == 0:
        data = draw(any_value())
    for _ in range(draw(st.integers(1, 3))):
        where = list(positions(data))
        if not where:
            break
        container, key = draw(st.sampled_from(where))
        action = draw(st.sampled_from(("replace", "replace", "replace", "replace", "leave out", "wrap", "swap", "add")))
        if action == "replace":
            container[key] = draw(any_value())
        elif action == "leave out":
            del container[key]
        elif action == "wrap":
            container[key] = [container[key]]
        elif action == "swap":
            other, its_key = draw(st.sampled_from(where))
            container[key] = copy.deepcopy(other[its_key]) if its_key in keys(other) else None
        elif isinstance(container, dict):
            container[draw(any_text())] = draw(any_value())
        else:
            container.append(draw(any_value()))
    return json_bytes(data)


def keys(container: Any) -> list[Any]:
    return list(container) if isinstance(container, dict) else list(range(len(container)))


def json_bytes(data: Any) -> bytes:
    """The document as JSON, the markers for what cannot be dumped written out."""
    text = json.dumps(data)
    for marker, written in _WRITTEN.items():
        text = text.replace(marker, written, 2)
    return text.encode()


def toml_value() -> st.Strategy[str]:
    """The text of a valid or almost valid TOML value."""
    odd = (
        *(
            "1979-05-27T07:32:00Z",
            "07:32:00",
            "0xff",
            "0o17",
            "1_000",
            "+nan",
            "-inf",
            "inf",
            "{}",
            "{a=1}",
            "[[1],[2]]",
        ),
        *("'''\n'''", '"""', "'", "[", "{", "1e400", "9" * 5000, "-" + "9" * 5000, "[" * 3000 + "]" * 3000, "a.b", ""),
    )
    plain = st.one_of(
        st.sampled_from(PLAIN), any_text(), st.floats(), st.integers(), st.lists(st.integers(), max_size=5)
    )
    return st.one_of(
        st.sampled_from(odd),
        plain.map(lambda value: json.dumps(value).replace("Infinity", "inf").replace("NaN", "nan")),
    )


@st.composite
def edited_lines(draw: st.Draw, text: str, value: st.Strategy[str], separator: str) -> bytes:
    """Lines ``key SEPARATOR value`` (or cells) with one to three values replaced, lines left out, repeated or added."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1)) if lines else 0
        action = draw(st.sampled_from(("replace", "replace", "replace", "replace", "leave out", "repeat", "add")))
        if action == "add" or not lines:
            lines.insert(at, draw(any_text()) + separator + draw(value))
        elif action == "leave out":
            del lines[at]
        elif action == "repeat":
            lines.insert(at, lines[at])
        else:
            cells = lines[at].split(separator)
            cells[draw(st.integers(0, len(cells) - 1))] = draw(value)
            lines[at] = separator.join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


# --- Python values as JSON, for functions that take values and not files ----------------------------------------------


def tag_value() -> st.Strategy[Any]:
    """A value as EXIF readers give it: number, text, bytes, a ratio, or several of them; see :func:`python_value`."""
    number = st.one_of(st.sampled_from(PLAIN), st.integers(0, 2**32 - 1), st.integers(-5, 200), st.floats())
    ratio = st.tuples(st.integers(-5, 2**32 - 1), st.integers(-5, 2**32 - 1)).map(lambda pair: {"ratio": list(pair)})
    small = st.tuples(st.integers(0, 300), st.integers(0, 10)).map(lambda pair: {"ratio": list(pair)})
    single = st.one_of(number, any_text(), ratio, small, st.binary(max_size=8).map(lambda data: {"bytes": data.hex()}))
    return st.one_of(single, single, single, st.lists(single, max_size=4).map(lambda items: {"tuple": items}))


def python_value(value: Any) -> Any:
    """The value that the JSON of :func:`tag_value` represents."""
    if isinstance(value, dict) and len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "bytes":
            return bytes.fromhex(content)
        if kind == "tuple":
            return tuple(python_value(item) for item in content)
        if kind == "ratio":
            from PIL.TiffImagePlugin import IFDRational

            return IFDRational(*content)
    return value
