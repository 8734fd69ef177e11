"""Tables of genes: words in JSON, numbers in tensors."""

from __future__ import annotations

import warnings
from typing import Any, cast

import numpy as np
import pandas as pd

from activa.export._fields import Fields, refused
from activa.export._files import Tensors

_NUMBERS = {
    np.dtype(name)
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"
    )
}  # fmt: skip
_NULLABLE = {
    name: getattr(pd, f"{name}Dtype")()
    for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64")
} | {"boolean": pd.BooleanDtype()}
_STRINGS = ("object", "str", "string")


def table_to_json(table: pd.DataFrame, prefix: str) -> tuple[dict[str, Any], Tensors]:
    """A table for JSON, and what of it is numbers for tensors.

    Strings, numbers, nullable numbers and categories of these, missing or not, come back as they were. Columns of
    anything else (dates, objects) are left out with a warning.

    Parameters
    ----------
    table
        A table of genes or proteins, whose index are strings.
    prefix
        Beginning of the tensors' names.
    """
    tensors: Tensors = {}
    columns, left_out = [], []
    for i, (name, column) in enumerate(table.items()):
        packed = _pack(column, f"{prefix}.{i}", tensors) if isinstance(name, str) else None
        if packed is None:
            left_out.append(str(name))
        else:
            columns.append({"name": name, **packed})
    if left_out:
        warnings.warn(
            f"The export is without the columns {left_out} of the {prefix}' table, which hold neither strings nor numbers "
            "nor categories of these: generated cells will not have them.",
            UserWarning,
            stacklevel=3,
        )
    index: Any = table.index
    names = {"values": [str(name) for name in index], "dtype": _string_dtype(index.dtype) or "object"}
    title = index.name if isinstance(index.name, str) else None
    return {"names": names, "title": title, "columns": columns}, tensors


def table_from_json(fields: Fields, tensors: Tensors) -> pd.DataFrame:
    """The table; its tensors are taken out of ``tensors``.

    Raises
    ------
    ValueError
        If a column is none that :func:`table_to_json` writes, or not as long as the table.
    """
    fields.only(("names", "title", "columns"))
    names = fields.fields("names")
    index = _index(_strings(names), title=fields.text_or_none("title"))
    if not len(index) or index.hasnans:
        raise refused(fields.where, "names are missing")
    columns: dict[str, Any] = {}
    listed = fields.any("columns")
    if not isinstance(listed, list) or not all(isinstance(column, dict) for column in listed):
        raise refused(fields.where, "'columns' must be a list of objects")
    for i, values in enumerate(listed):
        column = Fields(values, f"{fields.where}, column {i}")
        found = _unpack(column, tensors)
        if len(found) != len(index) or column.text("name") in columns:
            raise refused(column.where, f"{len(found)} values for {len(index)} names, or a column that is there twice")
        # given its dtype, or pandas makes strings of objects
        columns[column.text("name")] = pd.Series(found, index=index, dtype=found.dtype)
    return pd.DataFrame(columns, index=index, columns=pd.Index(list(columns), dtype="str"))


def _pack(values: Any, name: str, tensors: Tensors) -> dict[str, Any] | None:
    """One column, or the index of its categories; None for what cannot be held."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = _pack(dtype.categories, f"{name}.categories", tensors)
        if categories is None:
            return None
        tensors[name] = np.asarray(values.array.codes, dtype=np.int64)
        return {"kind": "categories", "tensor": name, "ordered": bool(dtype.ordered), "categories": categories}
    if dtype.name in _NULLABLE:
        missing = np.asarray(pd.isna(values))
        kind = np.dtype(dtype.numpy_dtype)
        tensors[name] = np.ascontiguousarray(values.to_numpy(dtype=kind, na_value=kind.type(0)))
        tensors[f"{name}.missing"] = missing
        return {"kind": "nullable", "tensor": name, "dtype": dtype.name}
    strings = _string_dtype(dtype)
    if strings is not None:
        listed = [None if value is None or value is pd.NA or value != value else value for value in values]
        if not all(value is None or isinstance(value, str) for value in listed):
            return None
        return {"kind": "strings", "values": [None if v is None else str(v) for v in listed], "dtype": strings}
    if isinstance(dtype, np.dtype) and dtype in _NUMBERS:
        tensors[name] = np.array(values, dtype=dtype)
        return {"kind": "numbers", "tensor": name}
    return None


def _unpack(column: Fields, tensors: Tensors) -> Any:
    kind = column.text("kind")
    if kind == "strings":
        return _strings(column)
    if kind not in ("numbers", "nullable", "categories"):
        raise refused(column.where, f"'kind' is {kind!r}")
    values = _taken(column, tensors, column.text("tensor"))
    if kind == "numbers":
        return values.copy()
    if kind == "nullable":
        dtype = _NULLABLE.get(column.text("dtype"))
        missing = _taken(column, tensors, f"{column.text('tensor')}.missing")
        if dtype is None or dtype.numpy_dtype != values.dtype or missing.dtype != bool or missing.shape != values.shape:
            raise refused(column.where, f"'dtype' {column.text('dtype')!r} does not fit the tensors")
        array = pd.array(values, dtype=cast(Any, dtype))
        array[missing] = pd.NA
        return array
    categories = _index(_unpack(column.fields("categories"), tensors))
    if values.dtype != np.int64 or not categories.is_unique or categories.hasnans:
        raise refused(column.where, "the codes are no whole numbers, or a category is missing or there twice")
    if ((values < -1) | (values >= len(categories))).any():
        raise refused(column.where, f"codes of other than its {len(categories)} categories")
    return pd.Categorical.from_codes(values.copy(), categories=categories, ordered=column.flag("ordered"))


def _taken(column: Fields, tensors: Tensors, name: str) -> np.ndarray:
    values = tensors.pop(name, None)
    if values is None or values.ndim != 1 or values.dtype not in _NUMBERS:
        raise refused(column.where, f"there is no tensor {name!r}, or it is no column of numbers")
    return values


def _strings(fields: Fields) -> Any:
    dtype = fields.text("dtype")
    values = fields.any("values")
    if dtype not in _STRINGS or not isinstance(values, list):
        raise refused(fields.where, f"'values' must be a list and 'dtype' one of {list(_STRINGS)}")
    if not all(value is None or isinstance(value, str) for value in values):
        raise refused(fields.where, "'values' must be strings or null")
    array = np.array(values, dtype=object)
    return array if dtype == "object" else pd.array(array, dtype=cast(Any, dtype))


def _index(values: Any, title: str | None = None) -> pd.Index:
    return pd.Index(values, dtype=values.dtype, name=title)


def _string_dtype(dtype: Any) -> str | None:
    """Which of the dtypes of strings it is; None for any other."""
    return str(dtype) if str(dtype) in _STRINGS else None
