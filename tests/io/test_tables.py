"""Tables as files: they come back, and files that would run code or claim more than they hold are refused."""

import json

import numpy as np
import pandas as pd
import pytest

from activa.io.tables import files_to_tables, tables_to_files


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({"length": [3, 1], "name": ["a", "b"]}, index=pd.Index(["g1", "g2"], name="gene"))


def edited(files: dict[str, bytes], path: str, edit) -> dict[str, bytes]:
    node = json.loads(files[path])
    edit(node)
    return files | {path: json.dumps(node).encode()}


def test_what_is_written_is_read(table):
    pd.testing.assert_frame_equal(files_to_tables(tables_to_files({"genes": table}), ["genes"])["genes"], table)


def test_other_tables_than_those_named_are_refused(table):
    with pytest.raises(ValueError, match="tables are"):
        files_to_tables(tables_to_files({"genes": table}), ["proteins"])


@pytest.mark.parametrize("codec", ["numcodecs.pickle", "numcodecs.zlib", "blosc", "gzip"])
def test_codecs_that_could_run_code_or_expand_data_are_refused(table, codec):
    files = tables_to_files({"genes": table})
    for edit in (
        lambda node: node["codecs"].append({"name": codec, "configuration": {}}),
        lambda node: node["codecs"][0]["configuration"]["codecs"].append({"name": codec, "configuration": {}}),
    ):
        with pytest.raises(ValueError, match="codecs"):
            files_to_tables(edited(files, "genes/length/zarr.json", edit), ["genes"])


@pytest.mark.parametrize(
    "edit",
    [
        lambda node: node.update(shape=[10**12]),
        lambda node: node["chunk_grid"]["configuration"].update(chunk_shape=[10**12]),
        lambda node: node["codecs"][0]["configuration"].update(chunk_shape=[10**12]),
    ],
)
def test_more_values_than_there_are_bytes_are_refused(table, edit):
    files = edited(tables_to_files({"genes": table}), "genes/length/zarr.json", edit)
    with pytest.raises(ValueError, match="more values"):
        files_to_tables(files, ["genes"])


def test_encodings_that_are_not_of_tables_are_refused(table):
    files = edited(
        tables_to_files({"genes": table}),
        "genes/zarr.json",
        lambda node: node["attributes"].update({"encoding-type": "awkward-array"}),
    )
    with pytest.raises(ValueError, match="encoding"):
        files_to_tables(files, ["genes"])


def test_columns_that_cannot_be_written_are_named(table):
    odd = table.assign(when=[np.datetime64("2020-01-01")] * 2, mixed=[1, "a"])
    with pytest.warns(UserWarning, match="mixed"):
        files = tables_to_files({"genes": odd})
    assert "name" in files_to_tables(files, ["genes"])["genes"].columns
