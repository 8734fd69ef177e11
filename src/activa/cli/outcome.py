"""How a command ends: what is printed where, and the exit code."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import typer

_PACKAGE = Path(__file__).parents[1]


@contextmanager
def outcome() -> Iterator[Callable[[str], None]]:
    """Keep stdout for results: gives a function that prints one; all other output goes to stderr.

    Refused input ends with one line and exit code 2. Any other error was not foreseen: it is left to Python, with its
    traceback and exit code 1.
    """
    stdout = sys.stdout
    # silence Lightning's notes on hardware and tips
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    try:
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield lambda text: print(text, file=stdout)
    except (ValueError, TypeError, KeyError, OSError, ImportError, NotImplementedError, RuntimeError) as error:
        if not _is_refusal(error):
            raise
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"activa: {' '.join(str(message).split())}", file=sys.stderr)
        raise typer.Exit(2) from None


def _is_refusal(error: Exception) -> bool:
    """Whether the package itself raised the error, as it does for input that it refuses."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(_PACKAGE)
