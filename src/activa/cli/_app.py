"""The commands, and what they take."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from activa.cli import _commands as commands
from activa.cli._outcome import outcome

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Synthetic single-cell counts of the cell types you ask for. Data are .h5ad files or .zarr stores. Results go to "
    "stdout, messages to stderr. Outputs appear whole or not at all. Exit codes: 0 done, 2 wrong usage or input, 1 "
    "anything else.",
)


class Format(StrEnum):
    """How a table is printed."""

    tsv = "tsv"
    json = "json"


Model = Annotated[Path, typer.Argument(help="Folder that 'activa fit' or model.export() wrote.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output, if it is there.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
Layer = Annotated[str | None, typer.Option(help="Layer of the counts; X if not given.")]
PrintAs = Annotated[Format, typer.Option("--format", help="How the table is printed.")]


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("demo"),
    seed: Seed = 0,
    print_as: PrintAs = Format.tsv,
    overwrite: Overwrite = False,
) -> None:
    """Train on 700 real blood cells, generate as many, and compare them with held-out ones."""
    with outcome() as say:
        say(commands.printed(commands.demo(output, seed=seed, overwrite=overwrite), print_as.value))


@app.command()
def fit(
    data: Annotated[Path, typer.Argument(help="Cells to train on, with whole counts.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write the model to.", show_default=False)],
    labels_key: Annotated[str | None, typer.Option(help="Column of obs with cell types.")] = None,
    batch_key: Annotated[str | None, typer.Option(help="Column of obs with batches.")] = None,
    layer: Layer = None,
    max_epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; by the number of cells if not given.")] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Train a model and export it: data, not code, without the cells. Prints what 'info' does."""
    with outcome() as say:
        described = commands.fit(
            data,
            output,
            labels_key=labels_key,
            batch_key=batch_key,
            layer=layer,
            max_epochs=max_epochs,
            seed=seed,
            overwrite=overwrite,
        )
        say(json.dumps(described, indent=1))


@app.command()
def generate(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help=".h5ad, .zarr or .h5mu to write.", show_default=False)],
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="Cells in all; types that no --label names share what is left.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="TYPE=COUNT, so many cells of a type. Can be given several times.")
    ] = None,
    batch: Annotated[str | None, typer.Option(help="Batch of all cells; drawn as they occur if not given.")] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Generate cells. Prints how many of each type, as JSON."""
    with outcome() as say:
        made = commands.generate(model, output, n=n, label=label or [], batch=batch, seed=seed, overwrite=overwrite)
        say(json.dumps(made, indent=1))


@app.command()
def evaluate(
    real: Annotated[Path, typer.Argument(help="Real cells that the model has not seen.", show_default=False)],
    synthetic: Annotated[Path, typer.Argument(help="Generated cells with the same genes.", show_default=False)],
    labels_key: Annotated[str | None, typer.Option(help="Column of obs with cell types, in every set.")] = None,
    layer: Layer = None,
    train: Annotated[Path | None, typer.Option(help="The training cells: adds the metrics of copying.")] = None,
    floor: Annotated[Path | None, typer.Option(help="More real cells; without, 'real' is split.")] = None,
    metrics: Annotated[str | None, typer.Option(help="Names with commas between; all if not given.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML page to write as well, with all metrics and plots.")] = None,
    seed: Seed = 0,
    print_as: PrintAs = Format.tsv,
    overwrite: Overwrite = False,
) -> None:
    """Compare generated cells with real ones. Prints a table."""
    with outcome() as say:
        table = commands.evaluate(
            real,
            synthetic,
            labels_key=labels_key,
            layer=layer,
            train=train,
            floor=floor,
            metrics=metrics,
            report=report,
            seed=seed,
            overwrite=overwrite,
        )
        say(commands.printed(table, print_as.value))


@app.command()
def info(model: Model) -> None:
    """Check an export and print what is in it, as JSON."""
    with outcome() as say:
        say(json.dumps(commands.describe(model), indent=1))
