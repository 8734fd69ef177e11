"""Checks of arguments; each error names the argument, what it must be, and what was given."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np


def check_integers(*, least: int = 1, most: int | None = None, optional: bool = False, **arguments: Any) -> None:
    """Check that arguments are whole numbers (Python's or NumPy's) in a range, or None if ``optional``.

    Raises a TypeError if an argument is not a whole number, such as True or 2.0, and a ValueError if it is out of range.
    """
    for name, value in arguments.items():
        if optional and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{name} must be a whole number{_or_none(optional)}, got {value!r}.")
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")
        if most is not None and value > most:
            raise ValueError(f"{name} must be at most {most}, got {value}.")


def check_numbers(
    *,
    above: float | None = None,
    least: float = -math.inf,
    below: float | None = None,
    most: float = math.inf,
    optional: bool = False,
    **arguments: Any,
) -> None:
    """Check that arguments are finite numbers in a range, or None if ``optional``; a TypeError for others, such as True."""
    bounds = {"above": above, "at least": least, "below": below, "at most": most}
    in_range = " and ".join(
        f"{word} {bound}" for word, bound in bounds.items() if bound is not None and math.isfinite(bound)
    )
    for name, value in arguments.items():
        if optional and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise TypeError(f"{name} must be a number{_or_none(optional)}, got {value!r}.")
        inside = least <= value <= most and (above is None or value > above) and (below is None or value < below)
        if not (inside and math.isfinite(value)):
            raise ValueError(f"{name} must be {in_range or 'finite'}, got {value}.")


def check_booleans(**arguments: Any) -> None:
    """Check that arguments are True or False; raise a TypeError otherwise."""
    for name, value in arguments.items():
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} must be True or False, got {value!r}.")


def check_choices(**arguments: tuple[str, Any]) -> None:
    """Check that arguments, given as (value, ``Literal`` type), are among the choices; raise a ValueError otherwise."""
    for name, (value, choices) in arguments.items():
        if not isinstance(value, str) or value not in get_args(choices):
            raise ValueError(f"{name} must be one of {list(get_args(choices))}, got {value!r}.")


def _or_none(optional: bool) -> str:
    return " or None" if optional else ""
