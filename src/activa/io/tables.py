"""Tables as zarr groups in memory, written and read by anndata: no codec is allowed that could run code or expand data."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import zarr
from anndata.io import read_elem, write_elem
from zarr.buffer.cpu import Buffer
from zarr.storage import MemoryStore

# numcodecs also registers a codec that unpickles
_CODECS = {"bytes", "crc32c", "sharding_indexed", "vlen-utf8"}
_MAX_BYTES, _BYTES_OF_STRING = 2**28, 64
_MAX_VALUES, _MAX_DEPTH = 10**6, 64  # of JSON
_ENCODINGS = {
    "array", "categorical", "dataframe", "nullable-boolean", "nullable-integer", "nullable-string-array", "string-array"
}  # fmt: skip


def tables_to_files(tables: Mapping[str, pd.DataFrame]) -> dict[str, bytes]:
    """Tables as the files of a zarr group, path -> content; warns of columns that anndata cannot write (dates, objects)."""
    store: dict[str, Any] = {}
    group = zarr.open_group(MemoryStore(store), mode="w")
    for name, table in tables.items():
        writable = [column for column in table if isinstance(column, str) and _is_writable(table[[column]])]
        if left_out := [str(column) for column in table if column not in writable]:
            warnings.warn(
                f"The columns {left_out} of the table {name!r} are left out: they hold values that anndata cannot write. "
                "Generated cells will not have them.",
                UserWarning,
                stacklevel=4,
            )
        write_elem(group, name, table[writable], dataset_kwargs={"compressors": None})
    return {path: content.to_bytes() for path, content in store.items()}


def _is_writable(table: pd.DataFrame) -> bool:
    """Whether a table of one column comes back as it is."""
    if (
        pd.api.types.is_object_dtype(table.dtypes.iloc[0])
        and pd.api.types.infer_dtype(table.iloc[:, 0], skipna=True) != "string"
    ):
        return False  # anndata would make strings of the values
    scratch = zarr.open_group(MemoryStore({}), mode="w")
    try:
        write_elem(scratch, "table", table)
    except Exception:  # noqa: BLE001  # anndata raises errors of many kinds
        return False
    return True


def files_to_tables(files: Mapping[str, bytes], names: list[str]) -> dict[str, pd.DataFrame]:
    """The tables of these names; a ValueError if the files are not what :func:`tables_to_files` returns."""
    n_bytes = sum(map(len, files.values()))
    claimed = sum(
        _check_node(parse(content), path, n_bytes) for path, content in files.items() if path.endswith("zarr.json")
    )
    if claimed > _MAX_BYTES:
        raise ValueError("the tables claim more values than any model has")
    store = MemoryStore({path: Buffer.from_bytes(content) for path, content in files.items()}, read_only=True)
    group = zarr.open_group(store, mode="r", use_consolidated=False)
    if sorted(group.keys()) != sorted(names):
        raise ValueError(f"the tables are {sorted(group.keys())}, not {sorted(names)}")
    tables: dict[str, Any] = {name: read_elem(group[name]) for name in names}
    for name, table in tables.items():
        if not isinstance(table, pd.DataFrame) or table.index.hasnans:
            raise ValueError(f"{name!r} is not a table with named rows")
    return tables


def _check_node(node: Any, path: str, n_bytes: int) -> int:
    """Raise a ValueError if a node uses other codecs or encodings, or more values than there are bytes; returns its bytes."""
    claimed = 0
    if node["node_type"] == "array":
        sharding = [codec for codec in node["codecs"] if codec["name"] == "sharding_indexed"]
        chunks = [part["configuration"]["chunk_shape"] for part in (node["chunk_grid"], *sharding)]
        shapes = [node["shape"], *chunks]
        if any(math.prod(shape) > n_bytes for shape in shapes):
            raise ValueError(f"{path} claims more values than the files hold")
        # chunks that hold only the fill value may be absent; a string is an object of Python
        claimed = math.prod(node["shape"]) * (_BYTES_OF_STRING if node["data_type"] == "string" else 8)
        if node.get("storage_transformers"):
            raise ValueError(f"{path} has storage transformers")
    if unknown := sorted(set(_codecs(node.get("codecs", []))) - _CODECS):
        raise ValueError(f"{path} has the codecs {unknown}")
    encoding = node.get("attributes", {}).get("encoding-type")
    if encoding is not None and encoding not in _ENCODINGS:
        raise ValueError(f"{path} has the encoding {encoding!r}")
    return claimed


def _codecs(codecs: list[Any]) -> Iterator[str]:
    """Names of codecs and of those within them."""
    for codec in codecs:
        yield codec["name"]
        for inner in ("codecs", "index_codecs"):
            yield from _codecs(codec.get("configuration", {}).get(inner, []))


def parse(content: bytes) -> Any:
    """What JSON holds; a ValueError if it is none, or larger or deeper than a model needs."""
    # counted before anything is made of them: a list is sixty bytes, and two in the file
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise ValueError(f"it has more than {_MAX_VALUES} values")
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({type(error).__name__})") from error
    level, depth = [value], 0
    while level := [
        inner for v in level if isinstance(v, dict | list) for inner in (v.values() if isinstance(v, dict) else v)
    ]:
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"it is deeper than {_MAX_DEPTH} levels")
    return value
