"""How a command ends: results on stdout, messages in the shell's words in one line on stderr, exit codes."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

_PACKAGE = Path(__file__).parents[1]
# ClickException, of click or of the copy of it that newer versions of typer have
_UsageError: Any = typer.BadParameter.__mro__[2]

# What the library calls its arguments, and what they are called here. Names that are words too are only replaced where
# they stand for an argument: before "=", or at the beginning.
_OPTIONS = {
    name: f"--{name.replace('_', '-')}"
    for name in ("batch_key", "labels_key", "library_size", "max_epochs", "min_confidence", "unlabeled_category")
}
_OPTIONS |= {f"{kind}_covariate_keys": f"--{kind}-covariate" for kind in ("categorical", "continuous")}
_OPTIONS |= {"gene_likelihood": "--likelihood"}
_WORDS = {name: f"--{name}" for name in ("batch", "layer", "metrics", "seed", "train")}
_WORDS |= {"covariates": "--covariate", "labels": "--label", "n": "-n"}
_TRANSLATIONS = [
    (re.compile(pattern), words)
    for pattern, words in {
        r"use adata\.raw\.to_adata\(\)": "give --raw",
        r"give adata\.to_memory\(\)": "write the cells to an .h5ad file",
        r"\bby scanpy\.pp\.filter_cells": "by scanpy.pp.filter_cells, or from the file",
        r"name the layer that has the counts": "give --layer, or --raw, where the counts are",
        r"name the layer of raw counts as layer= in setup_anndata": "give --layer for the layer of raw counts",
        r"\blayer= in setup_anndata": "--layer",
        r" in setup_anndata\b": "",
        r"\boverwrite=True": "--overwrite",
        r"\bnormalized=True": "--normalized",
        r"\bmodel\.export\(\) or sampler\.save\(\) wrote": "'activa fit' wrote",
        r"\bpath=": "",
        r"counts \(normalized=False\)": "counts (leave --normalized out)",
        r"\blabels requests\b": "--label requests",
        r"\bleave n out\b": "leave -n out",
        r"\bneeds train\b": "needs --train",
        r"\badata\.(?=\w)": "",
        r"\badata\b": "the file",
        rf"(?<![\w-])({'|'.join(_OPTIONS)})\b": _OPTIONS,
        rf"(?<![\w-])({'|'.join(_WORDS)})(?==)": _WORDS,
        rf"^({'|'.join(_WORDS)})(?= must|:|\[)": _WORDS,
    }.items()
]


def in_the_shells_words(message: str) -> str:
    """The library's message in one line, with options for Python's arguments."""
    message = " ".join(message.split())
    for pattern, words in _TRANSLATIONS:
        message = pattern.sub(words if isinstance(words, str) else lambda found, to=words: to[found[1]], message)
    return message


def tell(message: Any, *where: Any) -> None:
    """Print a line to stderr; also what shows warnings, without the line of code that they come from."""
    print(f"activa: {in_the_shells_words(str(message))}", file=sys.stderr, flush=True)


class OneLineGroup(TyperGroup):
    """Commands whose wrong usage is told in one line, as all else that is refused."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command that the arguments name, and exit with its code."""
        try:
            code = super().main(*args, **(kwargs | {"standalone_mode": False}))
        except _UsageError as error:
            context = getattr(error, "ctx", None)
            command = "activa" if context is None else " ".join(["activa", *context.command_path.split()[1:]])
            message = " ".join(error.format_message().split()).rstrip(".")
            print(f"activa: {message}. See '{command} --help'.", file=sys.stderr)
            code = 2
        if code == 130:
            print("activa: interrupted; no output was written.", file=sys.stderr)
        if kwargs.get("standalone_mode", True):
            sys.exit(code or 0)
        return code


@contextmanager
def outcome() -> Iterator[Callable[[Any], None]]:
    """Yield a function that prints text or JSON; all other output goes to stderr. Refused input ends with exit code 2."""
    stdout = sys.stdout
    # silence Lightning's notes on hardware and tips; it sets the level of the loggers above when it is imported
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    try:
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.filterwarnings("ignore", module="lightning")
            warnings.showwarning = tell  # type: ignore[assignment]
            yield lambda result: print(result if isinstance(result, str) else json.dumps(result, indent=1), file=stdout)
    except (
        ValueError,
        TypeError,
        KeyError,
        OSError,
        ImportError,
        NotImplementedError,
        RuntimeError,
        MemoryError,
    ) as error:
        frames = traceback.extract_tb(error.__traceback__)
        if not (frames and Path(frames[-1].filename).is_relative_to(_PACKAGE)):
            raise  # only what the package itself raises is about the input
        tell(error.args[0] if isinstance(error, KeyError) and error.args else error)
        raise typer.Exit(2) from None
