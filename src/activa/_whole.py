"""Writing that is whole or nothing: what is found at a path is never half of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4


def as_path(path: Any) -> Path:
    """The path; a TypeError says that it is none."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a string or a Path, got {path!r}.")
    return Path(path)


def check_free(
    path: Path,
    *,
    overwrite: bool,
    what: str,
    marks: Sequence[str] | None = None,
    overwriting: str = "give overwrite=True",
) -> None:
    """Check that something can be written to a path.

    Parameters
    ----------
    path
        Where.
    overwrite
        Whether what is there may be replaced.
    what
        What is to be written, in words.
    marks
        Files that a folder of its kind has one of: no other folder is replaced, and no file. None where it is a file
        that is written: no folder is replaced.
    overwriting
        What to do to have it replaced, in words.

    Raises
    ------
    FileExistsError
        If something is there, and ``overwrite`` is not set or it is of another kind.
    FileNotFoundError, NotADirectoryError, PermissionError
        If the folder that it is to be in is not there, or cannot be written in.
    """
    path = path.absolute()
    if path.exists():
        if not overwrite:
            raise FileExistsError(f"path={str(path)!r} exists: choose another, or {overwriting} to replace it.")
        if not (path.is_file() if marks is None else any((path / name).is_file() for name in marks)):
            raise FileExistsError(f"path={str(path)!r} is no {what}, and is not overwritten: choose another path.")
    reason: type[OSError] | None = None
    if not path.parent.exists():
        reason = FileNotFoundError
    elif not path.parent.is_dir():
        reason = NotADirectoryError
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        reason = PermissionError
    if reason is not None:
        raise reason(_no_room(path, what, reason.__name__))


@contextmanager
def whole_folder(path: Path, *, overwrite: bool, what: str, marks: Sequence[str]) -> Iterator[Path]:
    """A folder to write to, which is moved to ``path`` at the end, or removed when that is not reached.

    Arguments and errors are those of :func:`check_free`.
    """
    path = path.absolute()
    check_free(path, overwrite=overwrite, what=what, marks=marks)
    part, old = (path.with_name(f".{path.name}.{uuid4().hex[:8]}.{kind}") for kind in ("part", "old"))
    try:
        part.mkdir()
    except OSError as error:
        raise type(error)(_no_room(path, what, str(error.strerror))) from error
    try:
        yield part
        if path.exists():
            path.rename(old)
        try:
            part.rename(path)
        except BaseException:
            if old.exists():
                old.rename(path)
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def whole_file(path: Path, *, overwrite: bool, what: str) -> Iterator[Path]:
    """A path to write a file to, of the same suffix, which is moved to ``path`` at the end or removed.

    Arguments and errors are those of :func:`check_free`.
    """
    path = path.absolute()
    check_free(path, overwrite=overwrite, what=what)
    part = path.with_name(f".{path.stem}.{uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _no_room(path: Path, what: str, reason: str) -> str:
    return (
        f"path={str(path)!r}: no {what} can be made in the folder {str(path.parent)!r} ({reason}). Choose another folder, "
        "or make this one."
    )
