"""Draw the documentation's first picture, and the thumbnails of its tutorials, into ``docs/_static``.

The picture has held-out cells beside synthetic ones, in one UMAP. Thumbnails are the tutorials' own plots, read from the notebooks
that ``make docs`` has run (``docs/_build/jupyter_execute/tutorials``), or are drawn here for tutorials without plots.
"""

import base64
import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.figure import Figure
from PIL import Image
from sklearn.model_selection import train_test_split

import activa
from activa import ACTIVA, simulate
from activa.pl.parts import dots, open_frame, scatter_cells, type_colors

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "docs" / "_static"
NOTEBOOKS = ROOT / "docs" / "_build" / "jupyter_execute" / "tutorials"
# which of a tutorial's plots is its thumbnail
PLOTS = {"quickstart": -1, "augmenting": 0, "judging": 2, "batches": 0, "proteins": 0, "planning": 0, "paper": 3}


def main() -> None:
    """Train on half of the 700 cells that come with scanpy, and draw the other half beside as many generated ones."""
    adata = activa.datasets.pbmc68k_reduced()
    parts = train_test_split(adata, test_size=0.5, stratify=adata.obs["cell_type"], random_state=0)
    train, real = (part.copy() for part in parts)
    ACTIVA.setup_anndata(train, labels_key="cell_type")
    model = ACTIVA(train)
    model.train(seed=0, enable_progress_bar=False)
    synthetic = model.generate(labels=real.obs["cell_type"].value_counts(), seed=0)
    save(first_picture(real, synthetic), STATIC / "real_and_synthetic.png", n_colors=64)

    types = real.obs["cell_type"].value_counts().index[:4]
    few = [cells[cells.obs["cell_type"].isin(types)].copy() for cells in (real, synthetic)]
    by_type = activa.pl.library_size(*few, labels_key="cell_type", return_fig=True)
    drawn = {"your_own_data": by_type, "million_cells": memory(), "recipes": depths(model)}
    for name, figure in drawn.items():
        save(figure, STATIC / "gallery" / f"{name}.png", width=400)
    for name, index in PLOTS.items():
        if (path := NOTEBOOKS / f"{name}.ipynb").exists():
            save(plots_of(path)[index], STATIC / "gallery" / f"{name}.png", width=400)


def first_picture(real: AnnData, synthetic: AnnData) -> Figure:
    """Both sets side by side, colored by type."""
    colors = type_colors(real.obs["cell_type"].unique(), "cell_type", real, synthetic)
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.8), layout="constrained", sharex=True, sharey=True)
    sets = {"held-out real cells": real, "synthetic cells": synthetic}
    for ax, (name, cells), where in zip(axes, sets.items(), activa.pl.joint_umap(real, synthetic), strict=True):
        order = np.random.default_rng(0).permutation(cells.n_obs)
        scatter_cells(ax, where[order], cells.obs["cell_type"].astype(str).map(colors).to_numpy()[order], 16)
        open_frame(ax, "left", "bottom")
        ax.set_title(f"{cells.n_obs} {name}")
    figure.legend(handles=dots(colors), loc="outside right center", frameon=False, fontsize="small", handletextpad=0.3)
    return figure


def memory() -> Figure:
    """Peak memory against the number of cells, as in the benchmark."""
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "out_of_core.csv")
    figure, ax = plt.subplots(figsize=(4, 2.8), layout="constrained")
    for task, of in table.groupby("task", sort=False):
        if len(of) > 1:
            ax.plot(of["cells"], of["peak, MiB"], marker="o", label=task)
    ax.set(xlabel="Cells", ylabel="Peak memory, MiB", ylim=(0, None))
    ax.legend(frameon=False, fontsize="x-small", loc="lower right")
    open_frame(ax)
    return figure


def depths(model: ACTIVA) -> Figure:
    """Genes detected in the same cells at several depths."""
    factors = [0.25, 0.5, 1, 2, 4]
    conditions = {str(factor): [simulate.Depth(factor)] for factor in factors}
    cells = simulate.experiment(model, 300, conditions=conditions, paired=True, seed=0)
    genes = pd.Series(np.asarray((cells.X > 0).sum(axis=1)).ravel()).groupby(np.asarray(cells.obs["condition"]))
    figure, ax = plt.subplots(figsize=(4, 2.8), layout="constrained")
    ax.boxplot([genes.get_group(name) for name in conditions], tick_labels=[*conditions], showfliers=False)
    ax.set(xlabel="Depth, times that of the data", ylabel="Genes detected in a cell")
    open_frame(ax)
    return figure


def plots_of(notebook: Path) -> list[Image.Image]:
    """The plots among the outputs of a notebook."""
    outputs = [output for cell in json.loads(notebook.read_text())["cells"] for output in cell.get("outputs", [])]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    return [Image.open(io.BytesIO(base64.b64decode(picture))) for picture in pictures]


def save(picture: Figure | Image.Image, path: Path, *, n_colors: int = 128, width: int | None = None) -> None:
    """A small PNG on white; few colors need little space."""
    if isinstance(picture, Figure):
        drawn = io.BytesIO()
        picture.savefig(drawn, dpi=160)
        plt.close(picture)
        picture = Image.open(drawn)
    whole = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA")).convert("RGB")
    if width is not None:
        whole.thumbnail((width, width), Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.quantize(n_colors, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
