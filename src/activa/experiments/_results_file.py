"""The file that a long experiment goes on from."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any


class ResultsFile:
    """Rows of results in a CSV file, below a line that tells the settings they were made with.

    Parameters
    ----------
    path
        The file; None keeps rows in memory alone.
    settings
        What rows must agree on to stand in one table; strings, numbers and None.
    columns
        Column -> its type: ``str``, ``int`` or ``float``.
    keys
        Columns that tell one row from another.

    Raises
    ------
    ValueError
        If the file is there and is no such file, or has other settings; if its folder is not there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        settings: dict[str, Any],
        columns: dict[str, type],
        keys: list[str],
    ) -> None:
        self._path = None if path is None else Path(path)
        self._settings, self._columns, self._keys = settings, columns, keys
        self._rows: dict[tuple, dict[str, Any]] = {}
        if self._path is None:
            return
        if not self._path.parent.is_dir():
            raise ValueError(f"path={str(path)!r} is in a folder that is not there: make it first.")
        if self._path.exists():
            self._read(self._path)

    def _read(self, path: Path) -> None:
        try:
            with path.open(newline="", encoding="utf-8") as file:
                found = dict(json.loads(file.readline().removeprefix("# ")))
                rows = [{name: kind(row[name]) for name, kind in self._columns.items()} for row in csv.DictReader(file)]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"path={str(path)!r} is no file of this experiment: give another path.") from error
        if found != self._settings:
            differ = sorted(key for key in {*found, *self._settings} if found.get(key) != self._settings.get(key))
            told = ", ".join(f"{key}={found.get(key)!r} there, {self._settings.get(key)!r} here" for key in differ)
            raise ValueError(f"path={str(path)!r} holds results of other settings ({told}): give another path.")
        self._rows = {self._key(row): row for row in rows}

    def _key(self, row: dict[str, Any]) -> tuple:
        return tuple(row[key] for key in self._keys)

    def __contains__(self, key: tuple) -> bool:
        return key in self._rows

    def __getitem__(self, key: tuple) -> dict[str, Any]:
        return self._rows[key]

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row, and write the file anew: an interrupt leaves the old one or the new one."""
        self._rows[self._key(row)] = row
        if self._path is None:
            return
        partial = self._path.with_name(self._path.name + ".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            file.write(f"# {json.dumps(self._settings)}\n")
            writer = csv.DictWriter(file, list(self._columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows.values())
        os.replace(partial, self._path)
