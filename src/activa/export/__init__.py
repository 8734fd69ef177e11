"""Models as files that are data and not a program: tensors as safetensors, all else as JSON."""

from ._cells import cells_from_json, cells_to_json
from ._fields import Fields
from ._files import FORMAT_VERSION, MARKS, Tensors, read_files, write_files
from ._settings import settings_from_json, settings_to_json
from ._tables import table_from_json, table_to_json

__all__ = [
    "FORMAT_VERSION",
    "MARKS",
    "Fields",
    "Tensors",
    "cells_from_json",
    "cells_to_json",
    "read_files",
    "settings_from_json",
    "settings_to_json",
    "table_from_json",
    "table_to_json",
    "write_files",
]
