"""The commands, their arguments (checked before anything heavy is imported), and how they end."""

from __future__ import annotations

import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from activa.io import SAMPLER_MARKS, STORE_MARKS
from activa.io.atomic import check_free

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Synthetic single-cell counts of the cell types you ask for. Data are .h5ad files or .zarr stores. Results go to "
    "stdout, messages to stderr. Outputs appear complete or not at all. Exit codes: 0 success, 2 wrong usage or input, 1 "
    "any other error.",
)


Model = Annotated[Path, typer.Argument(help="Folder that 'activa fit' or model.export() wrote.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed: the same seed gives the same result.")]
Layer = Annotated[str | None, typer.Option(help="Layer of the counts; X by default.")]
PrintAs = Annotated[Literal["tsv", "json"], typer.Option("--format", help="How the table is printed.")]
_CELLS = (".h5ad", ".zarr")
_MAX_ON_PAGE = 6
_PACKAGE = Path(__file__).parents[1]


@contextmanager
def outcome() -> Iterator[Callable[[Any], None]]:
    """Yield a function that prints text or JSON; all other output goes to stderr. Refused input ends with exit code 2."""
    stdout = sys.stdout
    # silence Lightning's notes on hardware and tips
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    try:
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield lambda result: print(result if isinstance(result, str) else json.dumps(result, indent=1), file=stdout)
    except (ValueError, TypeError, KeyError, OSError, ImportError, NotImplementedError, RuntimeError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        if not (frames and Path(frames[-1].filename).is_relative_to(_PACKAGE)):
            raise  # only what the package itself raises is about the input
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"activa: {' '.join(str(message).split())}", file=sys.stderr)
        raise typer.Exit(2) from None


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("demo"),
    seed: Seed = 0,
    print_as: PrintAs = "tsv",
    overwrite: Overwrite = False,
) -> None:
    """Train on 700 real blood cells, generate as many, and compare them with held-out ones."""
    with outcome() as say:
        _check_free(output, overwrite, "demo", ("metrics.csv",))
        from activa.cli import commands

        say(commands.printed(commands.demo(output, seed=seed, overwrite=overwrite), print_as))


@app.command()
def fit(
    data: Annotated[Path, typer.Argument(help="Cells to train on, with whole counts.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write the model to.", show_default=False)],
    labels_key: Annotated[str | None, typer.Option(help="Column of obs with cell types.")] = None,
    batch_key: Annotated[str | None, typer.Option(help="Column of obs with batches.")] = None,
    layer: Layer = None,
    max_epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; chosen by the number of cells.")] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Train a model and export it: data, not code, without the cells. Prints what 'info' prints."""
    with outcome() as say:
        _check_free(output, overwrite, "sampler", SAMPLER_MARKS)
        _check_cells(data)
        from activa.cli import commands

        columns = {"labels_key": labels_key, "batch_key": batch_key, "layer": layer}
        say(commands.fit(data, output, columns, max_epochs=max_epochs, seed=seed, overwrite=overwrite))


@app.command()
def generate(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help=".h5ad, .zarr or .h5mu to write.", show_default=False)],
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="All cells; types without a --label share the rest.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="TYPE=COUNT, cells of a type. Can be given again.")] = None,
    batch: Annotated[str | None, typer.Option(help="Batch of all cells; drawn as they occur by default.")] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Generate cells. Prints the number of cells of each type, as JSON."""
    with outcome() as say:
        kind = _suffix(output, (*_CELLS, ".h5mu"))
        _check_free(output, overwrite, f"{kind} output", STORE_MARKS if kind == ".zarr" else None)
        labels = _labels(label or [])
        _check_model(model)
        from activa.cli import commands

        say(commands.generate(model, output, n=n, labels=labels, batch=batch, seed=seed, overwrite=overwrite))


@app.command()
def evaluate(
    real: Annotated[Path, typer.Argument(help="Real cells that the model has not seen.", show_default=False)],
    synthetic: Annotated[
        list[Path],
        typer.Argument(
            help="Generated cells with the same genes; of several generators, a file each.", show_default=False
        ),
    ],
    labels_key: Annotated[str | None, typer.Option(help="Column of obs with cell types, in every set.")] = None,
    layer: Layer = None,
    train: Annotated[Path | None, typer.Option(help="Training cells: adds metrics of copying and overfitting.")] = None,
    metrics: Annotated[str | None, typer.Option(help="Names separated by commas; all by default.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML page to write as well, with all metrics and plots.")] = None,
    batch_key: Annotated[str | None, typer.Option(help="Column of obs with batches, which the page judges.")] = None,
    seed: Seed = 0,
    print_as: PrintAs = "tsv",
    overwrite: Overwrite = False,
) -> None:
    """Compare generated cells with real ones. Prints a table, and the verdict to stderr."""
    with outcome() as say:
        if report is None and batch_key is not None:
            raise ValueError(f"--batch-key={batch_key!r}: only a report judges batches; give --report as well.")
        if report is not None:
            if metrics is not None:
                raise ValueError(f"--metrics={metrics!r}: a report has all metrics; leave --metrics or --report out.")
            if len(synthetic) > _MAX_ON_PAGE:
                raise ValueError(
                    f"--report: a page shows at most {_MAX_ON_PAGE} generators, got {len(synthetic)} files."
                )
            _check_free(report, overwrite, "report", None)
        generators = _generators(synthetic)
        for path in [real, *synthetic, *([] if train is None else [train])]:
            _check_cells(path)
        from activa.cli import commands

        chosen = None if metrics is None else [name.strip() for name in metrics.split(",")]
        given: dict[str, Any] = {name: commands.read(path) for name, path in generators.items()}
        sets = {"real": commands.read(real), "train": None if train is None else commands.read(train)}
        arguments: dict[str, Any] = sets | {"labels_key": labels_key, "layer": layer, "seed": seed}
        table, verdicts = commands.evaluate(given, chosen, batch_key=batch_key, **arguments)
        say(commands.printed(table, print_as))
        print(*verdicts, sep="\n", file=sys.stderr)
        if report is not None:
            commands.write_report(given, report, batch_key=batch_key, overwrite=overwrite, **arguments)


@app.command()
def info(model: Model) -> None:
    """Check an export and print what is in it, as JSON."""
    with outcome() as say:
        _check_model(model)
        from activa.cli import commands

        say(commands.describe(model))


def _check_free(path: Path, overwrite: bool, what: str, marks: Sequence[str] | None) -> None:
    check_free(path, overwrite=overwrite, what=what, marks=marks, how="give --overwrite")


def _check_cells(path: Path) -> None:
    kind = _suffix(path, _CELLS)
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist: give an existing {kind}.")


def _check_model(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"path={str(folder)!r} does not exist: give a folder that 'activa fit' wrote.")


def _generators(paths: Sequence[Path]) -> dict[str, Path]:
    """The files by their stems, or, where these name another set, by their whole names."""
    names = [path.name if path.stem in ("real", "train") else path.stem for path in paths]
    if len(set(names)) < len(names):
        raise ValueError(f"synthetic files must have different names, by which the table names them, got {names}.")
    return dict(zip(names, paths, strict=True))


def _suffix(path: Path, known: Sequence[str]) -> str:
    if path.suffix not in known:
        raise ValueError(f"{str(path)!r} must end with one of {list(known)}.")
    return path.suffix


def _labels(given: Sequence[str]) -> dict[str, int]:
    labels: dict[str, int] = {}
    for item in given:
        name, _, count = item.rpartition("=")
        if not name or not count.isdecimal():
            raise ValueError(f"--label={item!r} must be TYPE=COUNT, such as 'B cell=500'.")
        if name in labels:
            raise ValueError(f"--label={item!r}: the type is given twice.")
        labels[name] = int(count)
    return labels
