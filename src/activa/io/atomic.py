"""Writing that is whole or nothing: what is found at a path is never half of it."""

from __future__ import annotations

import errno
import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows has no such locks: there what a killed process left stays
    fcntl = None  # type: ignore[assignment]

# What a disk says that cannot be written to: full, beyond the quota or the largest file, read-only, broken
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


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
    """Check that something can be written to a path, and clear what processes that were killed while they wrote it left.

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
    _clear(path)
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


def check_space(folder: Path, n_bytes: int, *, argument: str, what: str) -> None:
    """Make a folder where there is none, and check that so much can be written to it.

    Raises
    ------
    FileExistsError, NotADirectoryError, PermissionError
        If it is no folder, or cannot be made or written in.
    OSError
        With ``errno.ENOSPC``, if the disk has less room.
    """
    given = f"{argument}={str(folder)!r}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(
            error.errno, f"{given}: no such folder can be made ({error.strerror}). Choose another."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"{given}: the folder cannot be written in. Choose another.")
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise OSError(
            errno.ENOSPC,
            f"{given}: the disk has {free / 2**20:.1f} MiB free, and {what} needs {n_bytes / 2**20:.1f}. Make room, or "
            "choose another folder.",
        )


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool, what: str, marks: Sequence[str]) -> Iterator[Path]:
    """A folder to write to, which is moved to ``path`` at the end, or removed when that is not reached.

    Arguments and errors are those of :func:`check_free`; an OSError of a disk that is full or read-only names the path.
    """
    path = path.absolute()
    check_free(path, overwrite=overwrite, what=what, marks=marks)
    with _workshop(path, what) as room:
        part, old = room / path.name, room / _OLD
        part.mkdir()
        yield part
        if path.exists():
            path.rename(old)
        try:
            part.rename(path)
        except BaseException:
            if old.exists() and not path.exists():  # an interrupt may come just after the new one was moved
                old.rename(path)
            raise


@contextmanager
def atomic_file(path: Path, *, overwrite: bool, what: str) -> Iterator[Path]:
    """A path to write a file to, of the same name, which is moved to ``path`` at the end or removed.

    Arguments and errors are those of :func:`atomic_folder`.
    """
    path = path.absolute()
    check_free(path, overwrite=overwrite, what=what)
    with _workshop(path, what) as room:
        yield room / path.name
        os.replace(room / path.name, path)


@contextmanager
def atomic_files(folder: Path, *, what: str, last: str) -> Iterator[Path]:
    """A folder to write files to, each of which is moved into a folder that is there, the file ``last`` at the end.

    Errors are those of :func:`atomic_folder`.
    """
    path = folder.absolute() / last
    check_free(path, overwrite=True, what=what)
    with _workshop(path, what) as room:
        yield room
        for file in sorted(room.iterdir(), key=lambda file: file.name == last):
            os.replace(file, folder / file.name)


# Each write has a hidden folder of its own beside the path. It is locked as long as the process lives that writes there:
# one without a lock was left by a process that was killed, and the next that writes to the path clears it.

_OLD = ".old"


@contextmanager
def _workshop(path: Path, what: str) -> Iterator[Path]:
    room = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        room.mkdir()
    except OSError as error:
        raise type(error)(_no_room(path, what, str(error.strerror))) from error
    lock = _lock(room)
    try:
        yield room
    except (OSError, RuntimeError) as error:
        number = _refusal(error)
        if number is None:
            raise
        raise OSError(
            number,
            f"path={str(path)!r}: the {what} could not be written ({os.strerror(number)}). What was there before is kept. "
            "Make room, or choose another folder.",
        ) from error
    finally:
        try:
            shutil.rmtree(room, ignore_errors=True)
        finally:
            if lock is not None:
                os.close(lock)


def _refusal(error: OSError | RuntimeError) -> int | None:
    """The number of the error by which the disk refused to be written to; None if it was something else."""
    # PyTorch's writer of files hides the disk's error, behind its own or altogether
    cause = error if isinstance(error, OSError) else error.__context__
    if isinstance(cause, OSError):
        return cause.errno if cause.errno in _REFUSALS else None
    return errno.EIO if "inline_container" in str(error) else None


def _lock(room: Path) -> int | None:
    """A hold on a folder that ends with the process, however that ends; None where another has it, or none can be had."""
    if fcntl is None:
        return None
    descriptor = os.open(room, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _clear(path: Path) -> None:
    """Remove what killed processes left of this path; what was moved out of the way for a new one is put back."""
    for room in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.part"):
        try:
            lock = _lock(room)
        except OSError:  # no folder of ours, or none any more
            continue
        if lock is None:
            continue
        try:
            if (room / _OLD).exists() and not path.exists():
                (room / _OLD).rename(path)
            shutil.rmtree(room, ignore_errors=True)
        finally:
            os.close(lock)


def _no_room(path: Path, what: str, reason: str) -> str:
    return (
        f"path={str(path)!r}: no {what} can be made in the folder {str(path.parent)!r} ({reason}). Choose another folder, "
        "or make this one."
    )
