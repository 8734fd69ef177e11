"""What is given on the command line, checked before anything heavy is imported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from activa.io import STORE_MARKS
from activa.io.atomic import check_free

CELLS = (".h5ad", ".zarr")
_PAGES = (".html", ".htm")
_MAX_ON_PAGE = 6


def check_output(path: Path, overwrite: bool, what: str, marks: Sequence[str] | None = None) -> None:
    """Check that a path can be written to."""
    try:
        check_free(path, overwrite=overwrite, what=what, marks=marks, how="give --overwrite")
    except OSError as error:
        if error.errno is None:  # the package's own words
            raise
        raise OSError(f"{_shown(path)} cannot be written: {error.strerror}. Choose another path.") from error


def check_store(path: Path, overwrite: bool) -> None:
    """Check that generated cells can be written to a path, by its suffix."""
    kind = _suffix(path, (*CELLS, ".h5mu"))
    check_output(path, overwrite, f"{kind} output", STORE_MARKS if kind == ".zarr" else None)


def check_split_outputs(data: Path, train: Path, held_out: Path, overwrite: bool) -> None:
    """Check that the two parts of a file can be written, and are neither each other nor the file."""
    for path in (train, held_out):
        _suffix(path, (".h5ad",))
        check_output(path, overwrite, ".h5ad output")
    if len({path.resolve() for path in (data, train, held_out)}) < 3:
        raise ValueError("DATA, --train and --held-out must be three different files.")


def check_cells(path: Path) -> None:
    """Check that there is a file or a store of cells."""
    if path.suffix == ".gz":
        raise ValueError(f"{_shown(path)} is compressed: run 'gunzip {path.name}' first.")
    kind = _suffix(path, CELLS)
    check_there(path, f"an existing {kind}")


def check_there(path: Path, what: str) -> None:
    """Check that something is at a path."""
    try:
        is_there = path.exists()
    except OSError as error:
        raise OSError(f"{_shown(path)} cannot be read: {error.strerror}. Give {what}.") from error
    if not is_there:
        raise FileNotFoundError(f"{_shown(path)} does not exist: give {what}.")


def check_model(folder: Path) -> None:
    """Check that there is a folder, as models are."""
    check_there(folder, "a folder that 'activa fit' wrote")
    if not folder.is_dir():
        raise NotADirectoryError(f"{_shown(folder)} is a file, not a model: give a folder that 'activa fit' wrote.")


def check_source(layer: str | None, raw: bool) -> None:
    """Check that only one place of the counts is named."""
    if raw and layer is not None:
        raise ValueError(f"--raw and --layer={layer!r} name two places of the counts: give one.")


def check_device(device: str) -> None:
    """Check that this is the name of a device, whether the machine has it or not."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ValueError(f"--device={device!r} must be auto, cpu, mps, cuda, or cuda:1 for the second of several GPUs.")


def check_report(
    report: Path | None, synthetic: Sequence[Path], metrics: str | None, batch_key: str | None, overwrite: bool
) -> None:
    """Check that the page can be written and shows what is asked for."""
    if report is None:
        if batch_key is not None:
            raise ValueError(f"--batch-key={batch_key!r}: only a report judges batches; give --report as well.")
        return
    if metrics is not None:
        raise ValueError(f"--metrics={metrics!r}: a report has all metrics; leave --metrics or --report out.")
    if len(synthetic) > _MAX_ON_PAGE:
        raise ValueError(f"--report: a page shows at most {_MAX_ON_PAGE} generators, got {len(synthetic)} files.")
    _suffix(report, _PAGES)
    check_output(report, overwrite, "report")


def check_request(
    n: int | None, label: Sequence[str] | None, labels_like: Path | None, library_size: float | None
) -> None:
    """Check that cells are asked for in one way, and can be drawn."""
    if n is None and not label and labels_like is None:
        raise ValueError("Nothing is asked for: give the number of cells as -n, --label TYPE=COUNT or --labels-like.")
    if label and labels_like is not None:
        raise ValueError("--label and --labels-like both give numbers of cells: give one of them.")
    if library_size is not None and not 0 < library_size < float("inf"):
        raise ValueError(f"--library-size={library_size:g} must be a number of counts above 0.")


def check_augment(path: Path | None, raw: bool, output: Path) -> None:
    """Check that training cells can be written with the generated ones."""
    if path is None and raw:
        raise ValueError("--raw says where the counts of --augment are: give --augment as well.")
    if path is not None and output.suffix != ".h5ad":
        raise ValueError(f"--output={str(output)!r} must end with .h5ad to hold the cells of --augment too.")


def generators_of(paths: Sequence[Path]) -> dict[str, Path]:
    """The files by their stems, or, where these name another set, by their whole names."""
    names = [path.name if path.stem in ("real", "train") else path.stem for path in paths]
    if len(set(names)) < len(names):
        raise ValueError(f"synthetic files must have different names, by which the table names them, got {names}.")
    return dict(zip(names, paths, strict=True))


def pairs_of(option: str, form: str, given: Sequence[str]) -> dict[str, str]:
    """Name -> value, from NAME=VALUE."""
    pairs: dict[str, str] = {}
    for item in given:
        name, _, value = item.rpartition("=")
        if not (name and value):
            raise ValueError(f"{option}={item!r} must be {form}.")
        if name in pairs:
            raise ValueError(f"{option}={item!r}: {name!r} is given twice.")
        pairs[name] = value
    return pairs


def counts_of(given: Sequence[str]) -> dict[str, int]:
    """Type -> number of cells, from TYPE=COUNT."""
    form = "TYPE=COUNT, such as 'B cell=500'"
    counts = pairs_of("--label", form, given)
    if wrong := [f"{name}={count}" for name, count in counts.items() if not (count.isascii() and count.isdecimal())]:
        raise ValueError(f"--label={wrong[0]!r} must be {form}.")
    return {name: int(count) for name, count in counts.items()}


def _suffix(path: Path, known: Sequence[str]) -> str:
    if path.suffix not in known:
        raise ValueError(f"{_shown(path)} must end with {' or '.join(known)}.")
    return path.suffix


def _shown(path: Path) -> str:
    """The path for a message, which a long one would hide."""
    text = str(path)
    return repr(text if len(text) <= 200 else f"{text[:100]}...{text[-20:]}")
