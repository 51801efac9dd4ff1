"""Recipes for random values, drawn from a ``random.Random``: seeded in the long run, Hypothesis's own in the tests.

The names are those of Hypothesis's strategies, of which these are the few that are needed. Drawn from
``random.Random`` a case takes a tenth of a millisecond instead of ten; drawn from ``hypothesis.strategies.randoms`` it
is reduced if a test fails.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from random import Random
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
U = TypeVar("U")

ODD_FLOATS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e-5,
    5e-324,
    1e308,
    -1e308,
    1e16,
    math.nan,
    math.inf,
    -math.inf,
    255.0,
    65535.0,
)
ALPHABETS = ((32, 126), (32, 126), (0, 31), (160, 0x2FF), (0x0600, 0x0700), (0x2000, 0x206F), (0x1F300, 0x1F6FF))


@dataclass(frozen=True, slots=True)
class Strategy(Generic[T]):
    """A recipe for a value.

    Attributes:
        draw: makes one.
    """

    draw: Callable[[Random], T]

    def map(self, function: Callable[[T], U]) -> Strategy[U]:
        """What the function makes of the value."""
        return Strategy(lambda rng: function(self.draw(rng)))


class Draw(Protocol):
    """Draws from a recipe, inside of a :func:`composite`."""

    def __call__(self, strategy: Strategy[U], /) -> U: ...


def composite(function: Callable[..., T]) -> Callable[..., Strategy[T]]:
    """A recipe from a function whose first argument draws from others."""

    @wraps(function)
    def made(*arguments: Any, **settings: Any) -> Strategy[T]:
        return Strategy(lambda rng: function(lambda strategy: strategy.draw(rng), *arguments, **settings))

    return made


def just(value: T) -> Strategy[T]:
    """Always the same."""
    return Strategy(lambda rng: value)


def sampled_from(values: Sequence[T]) -> Strategy[T]:
    """One of some values."""
    return Strategy(lambda rng: values[rng.randrange(len(values))])


def one_of(*strategies: Strategy[Any] | Sequence[Strategy[Any]]) -> Strategy[Any]:
    """One of some recipes, which may also be given as one list."""
    chosen: list[Strategy[Any]] = []
    for item in strategies:
        chosen += [item] if isinstance(item, Strategy) else list(item)
    return Strategy(lambda rng: chosen[rng.randrange(len(chosen))].draw(rng))


def integers(low: int = -(2**70), high: int = 2**70) -> Strategy[int]:
    """A whole number; where no bounds are given it is small as often as large."""

    def draw(rng: Random) -> int:
        if high - low < 2**64:
            return rng.randint(low, high)
        size = rng.randrange(71)
        return rng.randint(-(2**size), 2**size)

    return Strategy(draw)


def floats(low: float | None = None, high: float | None = None) -> Strategy[float]:
    """A float of any kind, or one between two bounds."""

    def draw(rng: Random) -> float:
        if low is not None and high is not None:
            return rng.uniform(low, high)
        kind = rng.randrange(3)
        if kind == 0:
            return ODD_FLOATS[rng.randrange(len(ODD_FLOATS))]
        if kind == 1:
            return rng.uniform(-10.0, 1000.0)
        value: float = struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))[0]
        return value

    return Strategy(draw)


def booleans() -> Strategy[bool]:
    """True or false."""
    return Strategy(lambda rng: rng.randrange(2) == 1)


def text(max_size: int) -> Strategy[str]:
    """A text of letters of several scripts and of other characters."""

    def draw(rng: Random) -> str:
        first, last = ALPHABETS[rng.randrange(len(ALPHABETS))]
        return "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(0, max_size)))

    return Strategy(draw)


def binary(min_size: int = 0, max_size: int = 8) -> Strategy[bytes]:
    """Some bytes."""
    return Strategy(lambda rng: bytes(rng.randrange(256) for _ in range(rng.randint(min_size, max_size))))


def lists(item: Strategy[T], min_size: int = 0, max_size: int = 5) -> Strategy[list[T]]:
    """A list of values of one recipe."""
    return Strategy(lambda rng: [item.draw(rng) for _ in range(rng.randint(min_size, max_size))])


def dictionaries(key: Strategy[T], value: Strategy[U], min_size: int = 0, max_size: int = 3) -> Strategy[dict[T, U]]:
    """A dictionary; a key that is drawn twice is there once."""
    return Strategy(lambda rng: {key.draw(rng): value.draw(rng) for _ in range(rng.randint(min_size, max_size))})


def fixed_dictionaries(
    needed: Mapping[str, Strategy[Any]], optional: Mapping[str, Strategy[Any]] | None = None
) -> Strategy[dict[str, Any]]:
    """A dictionary of named recipes; each of the optional ones is there or not."""
    maybe = dict(optional or {})

    def draw(rng: Random) -> dict[str, Any]:
        made = {name: strategy.draw(rng) for name, strategy in needed.items()}
        return made | {name: strategy.draw(rng) for name, strategy in maybe.items() if rng.randrange(2)}

    return Strategy(draw)


def tuples(*items: Strategy[Any]) -> Strategy[tuple[Any, ...]]:
    """One value of each recipe."""
    return Strategy(lambda rng: tuple(item.draw(rng) for item in items))


def builds(function: Callable[..., T], *items: Strategy[Any]) -> Strategy[T]:
    """What a function makes of one value of each recipe."""
    return Strategy(lambda rng: function(*(item.draw(rng) for item in items)))
