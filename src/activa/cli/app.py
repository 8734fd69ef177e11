"""The commands, their options, and the checks that come before anything heavy is imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from activa import __version__
from activa.cli import given
from activa.cli.outcome import OneLineGroup, outcome
from activa.io import SAMPLER_MARKS

app = typer.Typer(
    cls=OneLineGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Synthetic single-cell counts of the cell types you ask for. Data are .h5ad files or .zarr stores. Results go to "
    "stdout, messages to stderr. Outputs appear complete or not at all. Exit codes: 0 success, 2 wrong usage or input, 1 "
    "any other error.",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"activa {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options of all commands."""


Model = Annotated[Path, typer.Argument(help="Folder that 'activa fit' or model.export() wrote.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed: the same seed gives the same result.")]
Layer = Annotated[str | None, typer.Option(help="Layer of the counts; X by default.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto: a GPU if there is one.")]
PrintAs = Annotated[Literal["tsv", "json"], typer.Option("--format", help="How the table is printed.")]
Columns = Annotated[list[str] | None, typer.Option(help="Column of obs with a covariate. Can be given again.")]


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("demo"),
    seed: Seed = 0,
    print_as: PrintAs = "tsv",
    overwrite: Overwrite = False,
) -> None:
    """Train on 700 real blood cells, generate as many, and compare them with held-out ones."""
    with outcome() as say:
        given.check_output(output, overwrite, "demo", ("metrics.csv",))
        from activa.cli import commands

        say(commands.printed(commands.demo(output, seed=seed, overwrite=overwrite), print_as))


@app.command()
def split(
    data: Annotated[Path, typer.Argument(help="Cells to split.", show_default=False)],
    train: Annotated[Path, typer.Option(help=".h5ad to write, cells to train on.", show_default=False)],
    held_out: Annotated[Path, typer.Option(help=".h5ad to write, cells to evaluate with.", show_default=False)],
    labels_key: Annotated[str | None, typer.Option(help="Column of obs with cell types, each split alike.")] = None,
    held_out_share: Annotated[float, typer.Option(help="Share of the cells of each type to hold out.")] = 0.3,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Split cells at random into those to train on and those held out. Prints the numbers of cells, as JSON."""
    with outcome() as say:
        if not 0 < held_out_share < 1:
            raise ValueError(f"--held-out-share={held_out_share:g} must be between 0 and 1.")
        given.check_cells(data)
        given.check_split_outputs(data, train, held_out, overwrite)
        from activa.cli import files

        paths = (train, held_out)
        say(files.split(data, paths, labels_key, share=held_out_share, seed=seed, overwrite=overwrite))


@app.command()
def fit(
    data: Annotated[Path, typer.Argument(help="Cells to train on, with whole counts.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write the model to.", show_default=False)],
    labels_key: Annotated[str | None, typer.Option(help="Column of obs with cell types.")] = None,
    unlabeled_category: Annotated[
        str | None, typer.Option(help="Value of that column for cells without a type, which are never generated.")
    ] = None,
    batch_key: Annotated[str | None, typer.Option(help="Column of obs with batches.")] = None,
    categorical_covariate: Columns = None,
    continuous_covariate: Columns = None,
    layer: Layer = None,
    raw: Annotated[bool, typer.Option("--raw", help="Use the counts and genes in raw, not X.")] = False,
    likelihood: Annotated[
        Literal["nb-outlier", "nb", "normal", "mse"],
        typer.Option(help="Of the values: nb-outlier or nb for counts, normal or mse for other non-negative values."),
    ] = "nb-outlier",
    max_epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; chosen by the number of cells.")] = None,
    device: Device = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Train a model and export it: data, not code, without the cells. Prints what 'info' prints."""
    with outcome() as say:
        given.check_source(layer, raw)
        given.check_device(device)
        given.check_cells(data)
        given.check_output(output, overwrite, "sampler", SAMPLER_MARKS)
        from activa.cli import commands

        columns = {
            "labels_key": labels_key,
            "unlabeled_category": unlabeled_category,
            "batch_key": batch_key,
            "categorical_covariate_keys": categorical_covariate or None,
            "continuous_covariate_keys": continuous_covariate or None,
            "layer": layer,
        }
        how: dict[str, Any] = {"likelihood": likelihood, "max_epochs": max_epochs, "device": device, "seed": seed}
        say(commands.fit(data, output, columns, raw=raw, overwrite=overwrite, **how))


@app.command()
def generate(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help=".h5ad, .zarr or .h5mu to write.", show_default=False)],
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="All cells; types without a --label share the rest.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="TYPE=COUNT, cells of a type. Can be given again.")] = None,
    labels_like: Annotated[
        Path | None, typer.Option(help="Cells whose types are generated in the same numbers, or proportions with -n.")
    ] = None,
    labels_key: Annotated[
        str | None, typer.Option(help="Column of obs for types, here and there; that of the model by default.")
    ] = None,
    augment: Annotated[
        Path | None, typer.Option(help="Training cells, to be written above the generated ones; obs['origin'] tells.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="With --augment: use the counts and genes in raw, not X.")] = False,
    batch: Annotated[str | None, typer.Option(help="Batch of all cells; drawn as they occur by default.")] = None,
    covariate: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, for all cells. Can be given again.")] = None,
    library_size: Annotated[float | None, typer.Option(help="Expected counts per cell; drawn by default.")] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="Probability of its type, from 0 to 1, below which a cell is drawn again.")
    ] = None,
    device: Device = "cpu",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Generate cells. Prints the number of cells of each type, as JSON."""
    with outcome() as say:
        given.check_request(n, label, labels_like, library_size)
        labels = given.counts_of(label or [])
        covariates = given.pairs_of("--covariate", "NAME=VALUE, such as 'sex=female'", covariate or [])
        given.check_device(device)
        given.check_store(output, overwrite)
        given.check_augment(augment, raw, output)
        for path in (augment, labels_like):
            if path is not None:
                given.check_cells(path)
        given.check_model(model)
        from activa.cli import commands

        request: dict[str, Any] = {"library_size": library_size, "min_confidence": min_confidence, "seed": seed}
        request |= {"n": n, "labels": labels, "labels_key": labels_key, "batch": batch, "covariates": covariates}
        where: dict[str, Any] = {"device": device, "overwrite": overwrite}
        say(commands.generate(model, output, request, labels_like=labels_like, augment=augment, raw=raw, **where))


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
    raw: Annotated[
        bool, typer.Option("--raw", help="Use the counts and genes in raw of real and training cells.")
    ] = False,
    normalized: Annotated[
        bool, typer.Option("--normalized", help="All sets hold log1p of counts scaled to 10,000, not counts.")
    ] = False,
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
        given.check_source(layer, raw)
        given.check_report(report, synthetic, metrics, batch_key, overwrite)
        generators = given.generators_of(synthetic)
        for path in [real, *synthetic, *([] if train is None else [train])]:
            given.check_cells(path)
        from activa.cli import commands, comparing
        from activa.metrics.evaluation import joined

        chosen = None if metrics is None else [name.strip() for name in metrics.split(",")]
        sets = comparing.read_sets(real, generators, train, raw=raw)
        how: dict[str, Any] = {"labels_key": labels_key, "layer": layer, "normalized": normalized, "seed": seed}
        evaluations = comparing.evaluate(**sets, metrics=chosen, batch_key=batch_key, **how)
        say(commands.printed(joined(evaluations, len(generators) > 1), print_as))
        print(*comparing.verdicts(evaluations, labels_key, seed), sep="\n", file=sys.stderr)
        if report is not None:
            comparing.write_page(
                **sets, path=report, batch_key=batch_key, overwrite=overwrite, evaluations=evaluations, **how
            )


@app.command()
def info(model: Model) -> None:
    """Check an export and print what is in it, as JSON."""
    with outcome() as say:
        given.check_model(model)
        from activa.cli import commands

        say(commands.describe(model))
