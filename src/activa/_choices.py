"""Arguments that are one of a few choices."""

from __future__ import annotations

from typing import Any, get_args


def check_choices(**arguments: tuple[str, Any]) -> None:
    """Check that arguments, each with its ``Literal``, are among its choices; a ValueError names the one that is not."""
    for name, (value, choices) in arguments.items():
        if not isinstance(value, str) or value not in get_args(choices):
            raise ValueError(f"{name} must be one of {list(get_args(choices))}, got {value!r}.")
