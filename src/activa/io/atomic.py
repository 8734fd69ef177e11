"""Atomic writing: a path holds the whole file or folder, or what it held before."""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from activa.io import WRITTEN

try:
    import fcntl
except ImportError:  # Windows has no such locks: what a killed process left there stays
    fcntl = None  # type: ignore[assignment]

# Errors of a disk that is full, over its quota or file size limit, read-only, or broken
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def as_path(path: Any) -> Path:
    """Convert a string or path-like object to a Path; raise a TypeError for anything else."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a string or a Path, got {path!r}.")
    return Path(path)


def check_free(
    path: Path, *, overwrite: bool, what: str, marks: Sequence[str] | None = None, how: str = "give overwrite=True"
) -> None:
    """Check that a path can be written to, and remove what killed processes left while they wrote to it.

    Of an existing ``path``, ``overwrite`` replaces a file (``marks`` is None), or a folder that holds a file of ``marks``
    and nothing that is not written with it (:data:`activa.io.WRITTEN`). Of a link, its target is replaced. ``what`` and
    ``how`` (to ask for replacement) are for messages. Raises the OSError that Python has for it.
    """
    path = _target(path)
    _clear(path)
    if path.exists():
        if not overwrite:
            raise FileExistsError(f"path={str(path)!r} exists: choose another, or {how} to replace it.")
        if not (path.is_file() if marks is None else any((path / name).is_file() for name in marks)):
            raise FileExistsError(f"path={str(path)!r} holds no {what}, so it is not overwritten: choose another path.")
        if marks is not None:
            _check_own(path, what, marks)
    for reason, is_fine in (
        (FileNotFoundError, path.parent.exists()),
        (NotADirectoryError, path.parent.is_dir()),
        (PermissionError, os.access(path.parent, os.W_OK | os.X_OK)),
    ):
        if not is_fine:
            raise reason(_not_writable(path, what, reason.__name__))
    # root has every permission, even in /proc, where nothing can be made
    attempt = _make_beside(path, what)
    with suppress(FileNotFoundError):  # another process that writes to the path may have cleared it
        attempt.rmdir()


def _target(path: Path) -> Path:
    """The absolute path, or what it links to, which may not exist."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path.absolute()


def _check_own(path: Path, what: str, marks: Sequence[str]) -> None:
    """Raise a FileExistsError if a folder holds anything that was not written with it."""
    pattern = re.compile(rf"({WRITTEN.get(tuple(marks), '|'.join(map(re.escape, marks)))}|(.*/)?\.DS_Store)")
    for folder, folders, names in os.walk(path):
        for name in [*names, *(name for name in folders if Path(folder, name).is_symlink())]:
            file = Path(folder, name).relative_to(path).as_posix()
            if not pattern.fullmatch(file):
                found = f"holds {file!r}, which no {what} has, so it is not overwritten"
                raise FileExistsError(f"path={str(path)!r} {found}: move the file, or choose another path.")


def check_space(folder: Path, n_bytes: int, *, argument: str, what: str) -> None:
    """Create a folder if it does not exist, and check that ``n_bytes`` can be written to it (OSError otherwise)."""
    given = f"{argument}={str(folder)!r}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{given}: no such folder can be made ({error.strerror}). Choose another."
        raise type(error)(error.errno, message) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"{given}: the folder is not writable. Choose another.")
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        found = f"the disk has {free / 2**20:.1f} MiB free, and {what} needs {n_bytes / 2**20:.1f}"
        raise OSError(errno.ENOSPC, f"{given}: {found}. Free some space, or choose another folder.")


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool, what: str, marks: Sequence[str]) -> Iterator[Path]:
    """Yield a temporary folder; move it to ``path`` at the end, or remove it. Arguments and errors as check_free."""
    path = _target(path)
    check_free(path, overwrite=overwrite, what=what, marks=marks)
    with _temporary(path, what) as temporary:
        part, old = temporary / path.name, temporary / _OLD
        part.mkdir()
        yield part
        if path.exists():
            _check_own(path, what, marks)  # it may have come while the new one was written
            path.rename(old)
        try:
            part.rename(path)
        except BaseException:
            if old.exists() and not path.exists():  # an interrupt may come right after the move
                old.rename(path)
            raise


@contextmanager
def atomic_file(path: Path, *, overwrite: bool, what: str) -> Iterator[Path]:
    """Yield a temporary path with the same file name; move the file to ``path`` at the end. Errors as atomic_folder."""
    path = _target(path)
    check_free(path, overwrite=overwrite, what=what)
    with _temporary(path, what) as temporary:
        yield temporary / path.name
        os.replace(temporary / path.name, path)


@contextmanager
def atomic_files(folder: Path, *, what: str, last: str) -> Iterator[Path]:
    """Yield a temporary folder; move its files into the existing ``folder``, ``last`` at the end. Errors as atomic_folder."""
    path = folder.absolute() / last
    check_free(path, overwrite=True, what=what)
    with _temporary(path, what) as temporary:
        yield temporary
        for file in sorted(temporary.iterdir(), key=lambda file: file.name == last):
            os.replace(file, folder / file.name)


# Each write uses its own hidden folder beside the path, which is locked while the writing process lives. A folder without
# a lock was left by a killed process; the next write to the path removes it.

_OLD = ".old"


def _make_beside(path: Path, what: str) -> Path:
    """A new hidden folder beside ``path``; the OSError that Python has for it if none can be made."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        temporary.mkdir()
    except OSError as error:
        raise type(error)(_not_writable(path, what, str(error.strerror))) from error
    return temporary


@contextmanager
def _temporary(path: Path, what: str) -> Iterator[Path]:
    """Yield a new, locked, hidden folder beside ``path``, and remove it at the end."""
    temporary = _make_beside(path, what)
    lock = _lock(temporary)
    try:
        yield temporary
    except (OSError, RuntimeError) as error:
        if (number := _disk_error(error)) is None:
            raise
        message = f"the {what} could not be written ({os.strerror(number)}): free space. What was there before is kept."
        raise OSError(number, f"path={str(path)!r}: {message}") from error
    finally:
        try:
            shutil.rmtree(temporary, ignore_errors=True)
        finally:
            if lock is not None:
                os.close(lock)


def _disk_error(error: OSError | RuntimeError) -> int | None:
    """Error number if the disk could not be written to; None for other errors."""
    # PyTorch's file writer raises its own error, with or without the disk's error as context
    cause = error if isinstance(error, OSError) else error.__context__
    if isinstance(cause, OSError):
        return cause.errno if cause.errno in _DISK_ERRORS else None
    return errno.EIO if "inline_container" in str(error) else None


def _lock(folder: Path) -> int | None:
    """Lock a folder until the process ends; None if another process has the lock or locks are not supported."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _clear(path: Path) -> None:
    """Remove what killed processes left beside this path, and put back an old version that was moved away."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.part"):
        try:
            lock = _lock(temporary)
        except OSError:  # not one of these folders, or already removed
            continue
        if lock is None:
            continue
        try:
            if (temporary / _OLD).exists() and not path.exists():
                (temporary / _OLD).rename(path)
            shutil.rmtree(temporary, ignore_errors=True)
        finally:
            os.close(lock)


def _not_writable(path: Path, what: str, reason: str) -> str:
    return f"path={str(path)!r}: no {what} can be made in the folder {str(path.parent)!r} ({reason}): choose another."
