"""Reading what JSON holds, each value checked before it is used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

Scalar = str | int | float | bool
"""What categories can be."""


def refused(where: str, found: str) -> ValueError:
    """The error for a file that is not what ``export`` writes."""
    return ValueError(f"{where}: {found}. The export is damaged, or none of activa's: get it again from where it came.")


class Fields:
    """The fields of a JSON object: each method gives one, or raises a ValueError that says what was found instead.

    Parameters
    ----------
    values
        The object.
    where
        The file, and where in it, in words.
    """

    def __init__(self, values: Mapping[str, Any], where: str):
        self.values, self.where = values, where

    def only(self, names: Iterable[str]) -> None:
        """Check that there is no field beside these."""
        unknown = sorted(set(self.values) - set(names))
        if unknown:
            raise ValueError(
                f"{self.where} has {unknown}, which this activa does not know: install the activa that wrote it "
                "(written_by), or a newer one."
            )

    def any(self, name: str) -> Any:
        """A field, whatever it holds."""
        if name not in self.values:
            raise refused(self.where, f"there is no {name!r}")
        return self.values[name]

    def fields(self, name: str) -> Fields:
        """An object."""
        return Fields(self._of(name, dict, "an object"), f"{self.where}, {name!r}")

    def text(self, name: str) -> str:
        """A string."""
        return self._of(name, str, "a string")

    def text_or_none(self, name: str) -> str | None:
        """A string, or null."""
        return None if self.any(name) is None else self.text(name)

    def flag(self, name: str) -> bool:
        """True or false."""
        return self._of(name, bool, "true or false")

    def whole(self, name: str, *, least: int = 0) -> int:
        """A whole number."""
        value = self._of(name, int, f"a whole number of at least {least}")
        if isinstance(value, bool) or value < least:
            raise self._not(name, value, f"a whole number of at least {least}")
        return value

    def number(self, name: str) -> float:
        """A finite number, whole or not."""
        value = self.any(name)
        if not is_number(value):
            raise self._not(name, value, "a finite number")
        return value

    def wholes(self, name: str, *, least: int = 0) -> list[int]:
        """A list of whole numbers."""
        values = self._of(name, list, "a list of whole numbers")
        if not all(isinstance(v, int) and not isinstance(v, bool) and v >= least for v in values):
            raise self._not(name, values, f"a list of whole numbers of at least {least}")
        return values

    def texts(self, name: str) -> list[str]:
        """A list of strings."""
        values = self._of(name, list, "a list of strings")
        if not all(isinstance(v, str) for v in values):
            raise self._not(name, values, "a list of strings")
        return values

    def scalars(self, name: str) -> list[Scalar]:
        """A list of strings, numbers and flags, no two the same, and at least one."""
        values = self._of(name, list, "a list")
        fits = all(isinstance(v, str | bool) or is_number(v) for v in values)
        if not values or not fits or len(set(values)) < len(values):
            raise self._not(name, values, "a list of different strings or numbers")
        return values

    def _of(self, name: str, kind: type, words: str) -> Any:
        value = self.any(name)
        if not isinstance(value, kind):
            raise self._not(name, value, words)
        return value

    def _not(self, name: str, value: Any, words: str) -> ValueError:
        shown = repr(value)
        return refused(self.where, f"{name!r} must be {words}, and is {shown[:100]}{'...' * (len(shown) > 100)}")


def is_number(value: Any) -> bool:
    """Whether it is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)
