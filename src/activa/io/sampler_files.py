"""A sampler as files: ``sampler.json``, weights as safetensors, tables as zarr, and for a model what scvi-tools registered."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_numeric_dtype
from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from activa.arguments import check_booleans
from activa.assembly import plain
from activa.design import LABEL, N_CELLS, Design
from activa.io import SAMPLER_MARKS
from activa.io.atomic import as_path, atomic_folder
from activa.io.tables import files_to_tables, parse, tables_to_files
from activa.module import CellModel
from activa.settings import Settings
from activa.threads import interrupts_wait

(MANIFEST,) = SAMPLER_MARKS
WEIGHTS, TABLES, MODEL = "weights.safetensors", "tables.zarr/", "model.json"
FORMAT, FORMAT_VERSION = "activa sampler", 1
# No model comes near these sizes; what is larger is not read, so that a stranger's folder cannot take time and memory
_MAX_JSON_BYTES, _MAX_TABLES_BYTES, _MAX_FILES, _MAX_NAMES = 2**26, 2**28, 5_000, 1_000
_HEADER_BYTES, _HEADER_BYTES_OF_TENSOR = 2**16, 2**10  # of a file of weights
_MAX_MESSAGE = 500
_KEYS = ("labels_key", "batch_key", "layer", "protein_layer")  # fields of the manifest and of a Design

type Scalar = str | int | float | bool


def _different(values: list[Scalar]) -> list[Scalar]:
    if len(set(values)) < len(values):
        raise ValueError("a value is repeated")
    return values


Categories = Annotated[list[Scalar], FailFast(), Field(min_length=1), AfterValidator(_different)]


class File(BaseModel):
    """What the manifest says of another file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """The content of ``sampler.json``."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    format: str
    format_version: int
    written_by: dict[str, str]
    settings: dict[str, Any]
    use_size_factor_key: bool
    has_unlabeled: bool
    types: Categories
    batches: Categories
    categorical: dict[str, Categories]
    continuous: Annotated[list[str], FailFast(), Field(max_length=_MAX_NAMES)]
    labels_key: str | None
    batch_key: str | None
    layer: str | None
    protein_layer: str | None
    modalities: Annotated[list[str], Field(min_length=2, max_length=2)] | None
    ordered: list[str] = []
    colors: dict[str, list[str]] = {}
    files: dict[str, File]
    sha256: str


def save(
    path: str | os.PathLike[str], sampler: Any, *, overwrite: bool = False, model: Mapping[str, Any] | None = None
) -> None:
    """Write a sampler, and for :meth:`activa.ACTIVA.export` what the model knows beside it, into a folder."""
    check_booleans(overwrite=overwrite)
    files = sampler_to_files(sampler, model)
    with atomic_folder(as_path(path), overwrite=overwrite, what="sampler", marks=SAMPLER_MARKS) as part:
        for name, content in files.items():
            file = part / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        load(part)  # what cannot be read is not written


def sampler_to_files(sampler: Any, model: Mapping[str, Any] | None) -> dict[str, bytes]:
    """Relative path -> content of all files of a sampler."""
    design, module = sampler.design, sampler.module
    weights = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in module.state_dict().items()}
    tables = {"design": design.table.set_axis(design.table.index.astype(str)), "genes": sampler.var}
    if sampler.protein_var is not None:
        tables["proteins"] = sampler.protein_var
    files = {WEIGHTS: save_tensors(weights)}
    files |= {f"{TABLES}{name}": content for name, content in tables_to_files(tables).items()}
    if model is not None:
        files[MODEL] = json.dumps(model, allow_nan=False).encode()
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "written_by": {package: version(package) for package in ("activa-sc", "scvi-tools", "torch")},
        "settings": sampler.settings.to_dict(),
        "use_size_factor_key": module.use_size_factor_key,
        "has_unlabeled": module.n_labels > module.n_types,
        "types": _scalars(design.types),
        "batches": _scalars(design.batches),
        "categorical": {name: _scalars(values) for name, values in design.categorical.items()},
        "continuous": list(design.continuous),
        **{name: getattr(design, name) for name in _KEYS},
        "modalities": None if design.modalities is None else list(design.modalities),
        "ordered": list(design.ordered),
        "colors": design.colors,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
        },
    }
    text = json.dumps({**content, "sha256": _digest(content)}, indent=1, ensure_ascii=False, allow_nan=False)
    return files | {MANIFEST: text.encode()}


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The fields of the :class:`~activa.Sampler` in a folder, and the files; errors as of :meth:`activa.Sampler.load`."""
    manifest, files = read(path)
    where = str(as_path(path))
    with _refusing(where):
        settings = Settings.of(manifest.settings)
        tables = files_to_tables(
            {name.removeprefix(TABLES): data for name, data in files.items() if name.startswith(TABLES)},
            ["design", "genes", *(["proteins"] if manifest.modalities else [])],
        )
        design = _design(manifest, tables["design"])
        module = _module(manifest, settings, tables)
        expected = module.state_dict()
        n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in expected.values())
        n_header_bytes = _HEADER_BYTES + _HEADER_BYTES_OF_TENSOR * len(expected)
        if (found := manifest.files[WEIGHTS].bytes) > n_bytes + n_header_bytes:
            raise ValueError(f"the settings and genes require {n_bytes} bytes of weights, and there are {found}")
    files[WEIGHTS] = _read(as_path(path), WEIGHTS, manifest.files[WEIGHTS])
    with _refusing(where):
        _take_weights(module, load_tensors(files[WEIGHTS]))
    given = {"module": module.eval(), "design": design, "settings": settings}
    return given | {"var": tables["genes"], "protein_var": tables.get("proteins")}, files


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Turn what goes wrong with the content of files into the error that says so."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError) as error:
        raise _damaged(where, str(error)) from error


def read(path: str | os.PathLike[str]) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest of a folder and its other files except the weights, compared with their sizes and checksums."""
    folder = as_path(path)
    if not (folder / MANIFEST).is_file():
        hint = " The folder holds what model.save() writes, a pickle: if you trust it, ACTIVA.load() reads it."
        hint = hint if (folder / "model.pt").is_file() else ""
        raise FileNotFoundError(
            f"path={str(folder)!r} has no file {MANIFEST!r}, so it is not a complete export: give a folder that "
            f"model.export() or sampler.save() wrote.{hint}"
        )
    manifest = _manifest(folder / MANIFEST)
    sizes = {name: about.bytes for name, about in manifest.files.items()}
    settings = sum(size for name, size in sizes.items() if name.endswith(".json"))
    if settings > _MAX_JSON_BYTES or sum(sizes.values()) - settings - sizes.get(WEIGHTS, 0) > _MAX_TABLES_BYTES:
        raise _damaged(str(folder), "its settings or tables have more bytes than any model needs")
    for name in manifest.files:
        # nothing outside is looked for
        is_inside = not Path(name).is_absolute() and ".." not in Path(name).parts and "\0" not in name
        if not is_inside or not os.path.lexists(folder / name):
            raise FileNotFoundError(f"path={str(folder)!r} has no file {_cut(name)!r}, so it is not a complete export.")
    return manifest, {name: _read(folder, name, about) for name, about in manifest.files.items() if name != WEIGHTS}


def _read(folder: Path, name: str, about: File) -> bytes:
    """A file as it was written, of which no more is read than the manifest says."""
    file = folder / name
    found = file.lstat()
    is_link = any(part.is_symlink() for part in (file, *file.parents) if part.is_relative_to(folder) and part != folder)
    if is_link or not stat.S_ISREG(found.st_mode) or found.st_size != about.bytes:
        raise _damaged(str(file), f"it is a link or no file, or does not have {about.bytes} bytes")
    # what is compared is what is used: the file could change in between
    with file.open("rb") as stream:
        content = stream.read(about.bytes)
    if hashlib.sha256(content).hexdigest() != about.sha256:
        raise _damaged(str(file), "its checksum (SHA-256) differs from that of what was written")
    return content


def _manifest(file: Path) -> Manifest:
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_JSON_BYTES:
        raise _damaged(str(file), f"it is a link or no file, or has more than {_MAX_JSON_BYTES} bytes")
    try:
        with file.open("rb") as stream:
            content = parse(stream.read(found.st_size))
    except ValueError as error:
        raise _damaged(str(file), str(error)) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _damaged(str(file), f"'format' is not {FORMAT!r}")
    version_found = content.get("format_version")
    if isinstance(version_found, int) and version_found > FORMAT_VERSION:
        known = f"what activa {version('activa-sc')} reads, {FORMAT_VERSION}"
        raise ValueError(
            f"{file}: format version {_cut(str(version_found))} is newer than {known}: install a newer activa."
        )
    if content.get("sha256") != _digest({name: value for name, value in content.items() if name != "sha256"}):
        raise _damaged(str(file), "its content differs from what its checksum (sha256) was made of")
    names = {name: len(value) for name, value in {"it": content, **content}.items() if isinstance(value, dict)}
    if many := [name for name, n in names.items() if n > (_MAX_FILES if name == "files" else _MAX_NAMES)]:
        raise _damaged(str(file), f"{many[0]} has {names[many[0]]} names, more than any model needs")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(str(file), f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _design(manifest: Manifest, table: pd.DataFrame) -> Design:
    """The checked design of the training cells."""
    design = Design(
        types=as_categories(manifest.types),
        batches=as_categories(manifest.batches),
        table=table.set_axis(pd.RangeIndex(len(table))),
        categorical={name: as_categories(values) for name, values in manifest.categorical.items()},
        continuous=tuple(manifest.continuous),
        **{name: getattr(manifest, name) for name in _KEYS},
        modalities=None if manifest.modalities is None else (manifest.modalities[0], manifest.modalities[1]),
        ordered=tuple(manifest.ordered),
        colors=manifest.colors,
    )
    if list(table.columns) != [LABEL, *design.columns, N_CELLS] or not all(map(is_numeric_dtype, table.dtypes)):
        raise ValueError(f"the design table must have numbers in {[LABEL, *design.columns, N_CELLS]}")
    if not np.isfinite(table.to_numpy(dtype=float)).all():
        raise ValueError("the design table must be finite")
    n_labels = len(design.types) + manifest.has_unlabeled
    sizes = {LABEL: n_labels, N_CELLS: 2**53} | dict(
        zip(design.columns, [len(design.batches), *map(len, design.categorical.values())], strict=False)
    )
    for name, size in sizes.items():
        column = table[name].to_numpy()
        if column.dtype.kind == "f" and (column != np.round(column)).any():
            raise ValueError(f"{name!r} of the design table must be integers")
        if (column < (name == N_CELLS)).any() or (column >= size).any():
            raise ValueError(f"{name!r} of the design table is out of range")
    if not (table[LABEL] < len(design.types)).any():
        raise ValueError("the design table has no cell of any type")
    if (manifest.labels_key is None and n_labels > 1) or (manifest.batch_key is None and len(design.batches) > 1):
        raise ValueError("there are several types or batches without labels_key or batch_key")
    return design


def _module(manifest: Manifest, settings: Settings, tables: Mapping[str, pd.DataFrame]) -> CellModel:
    """The networks without weights."""
    # on this device tensors have no memory, whatever sizes the file claims; each of PyTorch's calls goes through Python
    # code that an interrupt would leave half done
    with interrupts_wait(), torch.device("meta"):
        return CellModel(
            n_input=len(tables["genes"]),
            n_batch=len(manifest.batches),
            n_labels=len(manifest.types) + manifest.has_unlabeled,
            n_types=len(manifest.types),
            n_cats_per_cov=[len(values) for values in manifest.categorical.values()],
            n_continuous_cov=len(manifest.continuous),
            settings=settings,
            use_size_factor_key=manifest.use_size_factor_key,
            n_proteins=len(tables.get("proteins", ())),
        )


def _take_weights(module: CellModel, tensors: Mapping[str, np.ndarray]) -> None:
    """Give the networks the weights of a file, which must be all of theirs and no others."""
    expected = module.state_dict()
    if different := sorted(set(expected) ^ set(tensors)):
        raise ValueError(f"the settings and genes require other tensors than there are: {different[:3]}")
    weights = {}
    for name, tensor in expected.items():
        array = tensors[name]
        if array.shape != tuple(tensor.shape) or array.dtype != _NUMPY.get(tensor.dtype):
            raise ValueError(
                f"the settings and genes require {name!r} of shape {tuple(tensor.shape)} and {tensor.dtype}, and it is "
                f"{array.shape} and {array.dtype}"
            )
        if not np.isfinite(array).all() and not (name == _ENDLESS and array == np.inf):
            raise ValueError(f"the weights {name!r} are not finite")
        weights[name] = torch.tensor(array)  # a copy: the array is read-only
    with interrupts_wait():
        module.load_state_dict(weights, assign=True)


_ENDLESS = "generator.n_cells"  # infinite where the generator does not start from cells
_NUMPY = {torch.float32: np.dtype("float32"), torch.int64: np.dtype("int64")}


def as_categories(values: list[Scalar]) -> np.ndarray:
    """Categories as scvi-tools has them: numbers in an array of numbers, all others as objects."""
    kinds = {type(value) for value in values}
    return np.array(values) if len(kinds) == 1 and str not in kinds else np.array(values, dtype=object)


def _scalars(values: np.ndarray) -> list[Scalar]:
    """Categories of Python's own types; a TypeError names one that is neither a string nor a number."""
    found = plain(values)
    if odd := [value for value in found if not isinstance(value, str | int | float)]:
        raise TypeError(f"Categories must be strings or numbers to be exported, got {odd[0]!r}.")
    return found


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of what JSON holds, however it is laid out in the file."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _cut(text: str) -> str:
    """The beginning of a text from a file, which may be of any length."""
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]} ..."


def _damaged(where: str, found: str) -> ValueError:
    return ValueError(
        f"{where}: {_cut(found).rstrip('.')}. The export is damaged or was not written by activa: get it again."
    )
