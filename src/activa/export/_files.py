"""The two files of an export, and whether they are what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from activa.export._fields import Fields, refused

SETTINGS, WEIGHTS = "activa.json", "activa.safetensors"
MARKS = (SETTINGS,)
"""Files that a folder of an export has one of."""
FORMAT, FORMAT_VERSION = "activa export", 1
# No model comes near it: its genes' table would be
_MOST_BYTES_OF_SETTINGS = 2**30

Tensors = dict[str, np.ndarray]


def write_files(folder: Path, content: Mapping[str, Any], tensors: Tensors) -> None:
    """Write an export into an empty folder.

    Parameters
    ----------
    folder
        Where.
    content
        What JSON can hold.
    tensors
        Name -> array, contiguous.
    """
    weights = save(tensors)
    whole = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "written_by": {package: version(package) for package in ("activa-sc", "scvi-tools", "torch")},
        "weights": {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()},
        **content,
    }
    (folder / WEIGHTS).write_bytes(weights)
    text = json.dumps({**whole, "sha256": _digest(whole)}, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / SETTINGS).write_text(text, encoding="utf-8")


def read_files(folder: Path) -> tuple[Fields, Tensors]:
    """Read an export, and see that neither file was changed since it was written.

    Nothing in the files is run. What they say is not checked here but for this.

    Parameters
    ----------
    folder
        The export.

    Returns
    -------
    What :func:`write_files` was given: the content, to be read field by field, and the arrays, which are read-only.

    Raises
    ------
    FileNotFoundError
        If the folder or one of the files is not there.
    ValueError
        If the files are of a newer format, or damaged, or are none of an export.
    """
    for name in (SETTINGS, WEIGHTS):
        if not (folder / name).is_file():
            hint = ""
            if (folder / "model.pt").is_file():
                hint = " The folder holds what model.save() writes, a pickle: if you trust it, ACTIVA.load() reads it."
            raise FileNotFoundError(
                f"path={str(folder)!r} has no file {name!r}, so it is no export, or not a whole one: give a folder that "
                f"model.export() has written.{hint}"
            )
    content = Fields(_read_json(folder / SETTINGS), str(folder / SETTINGS))
    if content.text("format") != FORMAT:
        raise refused(content.where, f"'format' is {content.text('format')!r}, not {FORMAT!r}")
    found = content.whole("format_version", least=1)
    if found > FORMAT_VERSION:
        raise ValueError(
            f"{content.where}: format version {found} is newer than what this activa ({version('activa-sc')}) reads, "
            f"{FORMAT_VERSION}: install the activa that wrote it ({content.fields('written_by').text('activa-sc')}), or a "
            "newer one."
        )
    rest = dict(content.values)
    if rest.pop("sha256", None) != _digest(rest):
        raise refused(content.where, "its content is not what its checksum (sha256) was made of, so it was changed")
    weights = content.fields("weights")
    return content, _read_tensors(folder / WEIGHTS, weights.whole("bytes"), weights.text("sha256"))


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of what JSON holds, however it is laid out in the file."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read_json(file: Path) -> dict[str, Any]:
    size = file.stat().st_size
    if size > _MOST_BYTES_OF_SETTINGS:
        raise refused(str(file), f"it has {size} bytes, more than the {_MOST_BYTES_OF_SETTINGS} that any model needs")
    try:
        content = json.loads(file.read_bytes().decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # of JSON, of UTF-8, of a number too long or lists too deep
        raise refused(str(file), f"it is not JSON ({type(error).__name__})") from error
    if not isinstance(content, dict):
        raise refused(str(file), f"it holds a {type(content).__name__}, not an object")
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _read_tensors(file: Path, n_bytes: int, sha256: str) -> Tensors:
    size = file.stat().st_size
    if size != n_bytes:
        raise refused(str(file), f"it has {size} bytes instead of {n_bytes}")
    # what is checked is what is read: the file could change in between
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise refused(str(file), "its checksum (SHA-256) is not that of the weights that were written")
    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise refused(str(file), f"it is not safetensors ({error})") from error
