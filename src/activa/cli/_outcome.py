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

import activa

_PACKAGE = Path(activa.__file__).parent


@contextmanager
def outcome() -> Iterator[Callable[[str], None]]:
    """Keep stdout for results: gives what prints one; all else that is printed goes to stderr.

    Input that the package refuses ends with one line and exit code 2. An error raised elsewhere was not foreseen: it is
    left to Python, with its traceback and exit code 1.
    """
    stdout = sys.stdout
    # Lightning's notes on hardware and tips
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
    """Whether the package itself raised it, as it does for input that it refuses."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(_PACKAGE)
