"""Real cells beside one or several sets: forests, correlations, markers, dropout and embeddings. Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy.sparse import vstack
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import auc, roc_curve
from sklearn.model_selection import StratifiedKFold

from activa.arguments import check_booleans
from activa.data import Cells, check_sets, read_cells
from activa.metrics import correlation_discrepancy as discrepancy
from activa.metrics.fidelity import markers_of_types
from activa.metrics.properties import fit_dropout, gene_summary, pearson
from activa.metrics.space import Space
from activa.optional import import_optional
from activa.pl.embeddings import umap_coordinates
from activa.pl.output import documented

type Synthetic = AnnData | Mapping[str, AnnData]

REAL = "real"
_N_GENES, _N_COMPONENTS = 3000, 50


def read_sets(
    real: AnnData, synthetic: Synthetic, *, labels_key: str | None, layer: str | None, normalized: bool
) -> dict[str, Cells]:
    """Checked sets by name, real cells first; errors as of :func:`activa.metrics.evaluate`."""
    others = {"synthetic": synthetic} if isinstance(synthetic, AnnData) else synthetic
    if not isinstance(others, Mapping):
        raise TypeError(f"synthetic must be an AnnData or a mapping of names to them, got {type(others).__name__}.")
    sets = {REAL: real} | {str(name): adata for name, adata in others.items()}
    if not others or len(sets) <= len(others):
        found = f"and none {REAL!r}, got {list(others)}"
        raise ValueError(f"synthetic must name at least one set, each by a name of its own, {found}.")
    check_sets(sets, labels_key, layer)
    return read_cells(sets, labels_key=labels_key, layer=layer, normalized=normalized)


@documented
def rf_detection(
    real: AnnData,
    synthetic: Synthetic,
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    normalized: bool = False,
    n_trees: int = 1000,
    n_folds: int = 5,
    integrate: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """ROC curves of random forests that tell generated from real cells.

    Each set is compared with equally many real cells, as many as the smaller of both has, in 50 principal components
    fitted on the two together (log1p of counts scaled to 10,000, the 2,000 genes of largest variance). The forests
    (Gini, square root of the features per split) are cross-validated, as by Marouf et al. 2020,
    doi:10.1038/s41467-019-14018-z.

    {parameters, compared, labels_key, layer, normalized}
    n_trees, n_folds, seed
        Trees, folds, and the seed of forests, folds, integration and subsampling (type by type with ``labels_key``).
    integrate
        Whether the components of real and generated cells are first integrated, as two batches, with Harmony (Korsunsky
        et al. 2019, doi:10.1038/s41592-019-0619-0; harmonypy of the ``eval`` extra). The paper integrates them, with
        Seurat. This hides a shift of a set, or of a cluster in it: use it only beside figures that were found so. It sees
        the cells of all folds and equals their means, so that even real cells score below 0.5: give a second held-out set.

    Returns
    -------
    One row per point of a curve: ``set``, ``fold``, ``false_positive_rate``, ``true_positive_rate`` (of generated
    cells), and ``auc``, the area under the fold's curve: 0.5 is best, 1 means that every cell is recognized.
    {errors, reference, example}
    """
    check_booleans(integrate=integrate)
    harmonypy = import_optional("harmonypy", "integrate=True") if integrate else None
    cells = read_sets(real, synthetic, labels_key=labels_key, layer=layer, normalized=normalized)
    if (smallest := min(map(len, cells.values()))) < n_folds:
        raise ValueError(f"The smallest set must have at least n_folds={n_folds} cells, got {smallest}.")
    curves = []
    for name in list(cells)[1:]:
        rng, size = np.random.default_rng(seed), min(len(cells[REAL]), len(cells[name]))
        first, made = cells[REAL].subsample(size, rng), cells[name].subsample(size, rng)
        x = np.vstack(Space(first, seed).project_together(first, made))
        origin = np.repeat([0, 1], size)
        if harmonypy is not None:
            # one cluster at least, and its seeds are 31 bits long; it draws with a generator of its own
            options = {"nclust": max(1, min(round(2 * size / 30), 100)), "random_state": seed % 2**31, "verbose": False}
            x = harmonypy.run_harmony(x.T, {"origin": origin}, "origin", **options).Z_corr
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        for fold, (train, test) in enumerate(folds.split(x, origin)):
            forest = RandomForestClassifier(n_trees, max_features="sqrt", random_state=seed, n_jobs=-1)
            score = forest.fit(x[train], origin[train]).predict_proba(x[test])[:, 1]
            false, true, _ = roc_curve(origin[test], score)
            curve = {"false_positive_rate": false, "true_positive_rate": true, "auc": auc(false, true)}
            curves.append(pd.DataFrame({"set": name, "fold": fold, **curve}))
    return pd.concat(curves, ignore_index=True)


@documented
def correlation_discrepancy(
    real: AnnData,
    synthetic: Synthetic,
    *,
    labels_key: str,
    layer: str | None = None,
    normalized: bool = False,
    n_markers: int = 5,
) -> pd.DataFrame:
    """Pearson correlations of marker genes in each set of cells, and their distance from those of real cells.

    {parameters, compared, labels_key, layer, normalized}
    n_markers
        Markers per type of ``real`` (:func:`activa.metrics.top_markers`).

    Returns
    -------
    One row per ordered pair of genes and set, including real cells: ``set``, ``gene``, ``other_gene`` (in the order of the
    types that they mark), ``correlation``, and ``discrepancy`` of the whole set, the 1-norm of the difference of its matrix
    from the real one (:func:`activa.metrics.correlation_discrepancy`).
    {errors, reference, example}
    """
    cells = read_sets(real, synthetic, labels_key=labels_key, layer=layer, normalized=normalized)
    of_types = markers_of_types(cells[REAL].log_expression, cells[REAL].types, n_markers)
    # a gene that marks two types stands with the first
    markers = list(dict.fromkeys(gene for genes in of_types.values() for gene in genes))
    genes = real.var_names[markers].astype(str).to_numpy()
    expression = {name: of.log_expression[:, markers].toarray().astype(float) for name, of in cells.items()}
    pairs = {"gene": np.repeat(genes, len(genes)), "other_gene": np.tile(genes, len(genes))}
    tables = []
    for name, x in expression.items():
        distance = discrepancy(expression[REAL], x, norm="one")
        tables.append(pd.DataFrame({"set": name, **pairs, "correlation": pearson(x).ravel(), "discrepancy": distance}))
    return pd.concat(tables, ignore_index=True)


@documented
def marker_expression(
    real: AnnData,
    synthetic: Synthetic,
    *,
    labels_key: str,
    types: Sequence[str] | None = None,
    layer: str | None = None,
    normalized: bool = False,
    n_markers: int = 5,
) -> pd.DataFrame:
    """Log expression of each type's top markers in the cells of that type (figure S11 of the paper).

    {parameters, compared, labels_key, layer, normalized}
    types, n_markers
        Types to look at, each with two real cells or more (None: the two with the most), and markers per type of
        ``real`` (:func:`activa.metrics.top_markers`).

    Returns
    -------
    One row per cell and gene: ``set`` (``"real"`` or a name), ``type``, ``gene`` (best marker first) and
    ``expression``, log1p of counts scaled to 10,000 per cell.
    {errors, reference, example}
    """
    cells = read_sets(real, synthetic, labels_key=labels_key, layer=layer, normalized=normalized)
    markers = markers_of_types(cells[REAL].log_expression, cells[REAL].types, n_markers)
    if types is None:
        largest = pd.Series(cells[REAL].types).value_counts().index
        types = [label for label in largest if label in markers][:2]
    types = [str(label) for label in types]
    if unknown := [label for label in types if label not in markers]:
        raise ValueError(f"types must have two real cells each, got {unknown}: choose from {list(markers)}.")
    tables = []
    for label in types:
        for name, of in cells.items():
            x = of.log_expression[of.types == label][:, markers[label]].toarray()
            wide = pd.DataFrame(x, columns=real.var_names[markers[label]].astype(str))
            tables.append(wide.melt(var_name="gene", value_name="expression").assign(set=name, type=label))
    return pd.concat(tables, ignore_index=True)[["set", "type", "gene", "expression"]]


@documented
def dropout_curve(
    real: AnnData, synthetic: Synthetic, *, layer: str | None = None, normalized: bool = False
) -> pd.DataFrame:
    """Dropout rate and mean expression of each gene, and the binomial regression of one on the other (figure S9 of the paper).

    The regression (logit link) is of a gene's share of cells without counts on the log10 of its mean. Cells are scaled to
    10,000 counts, to compare sets of different library sizes. Genes without counts in a set are left out of it.

    {parameters, compared, layer, normalized}

    Returns
    -------
    One row per gene and set: ``set`` (``"real"`` or a name), ``gene``, ``mean`` (counts of 10,000), ``dropout`` (share of
    cells without it), ``fit`` of the regression, and its pointwise 95% confidence band, ``lower`` to ``upper``.
    {errors, reference, sets_example}
    """
    tables = []
    for name, of in read_sets(real, synthetic, labels_key=None, layer=layer, normalized=normalized).items():
        expressed, log_mean, zeros = gene_summary(of.log_expression.expm1())
        if len(log_mean) < 2:
            raise ValueError(f"{name} must have at least 2 genes with counts for a curve, got {len(log_mean)}.")
        fit, design = fit_dropout(log_mean, zeros, len(of))
        band = fit.get_prediction(design).summary_frame(alpha=0.05).reset_index(drop=True)
        points = {"gene": real.var_names[expressed].astype(str), "mean": 10**log_mean, "dropout": zeros / len(of)}
        line = {"fit": band["mean"], "lower": band["mean_ci_lower"], "upper": band["mean_ci_upper"]}
        tables.append(pd.DataFrame({"set": name, **points, **line}))
    return pd.concat(tables, ignore_index=True)


@documented
def manifold(
    real: AnnData,
    synthetic: Synthetic,
    *,
    labels_key: str | None = None,
    genes: Sequence[str] = (),
    layer: str | None = None,
    normalized: bool = False,
    n_neighbors: int = 15,
    min_dist: float = 0.5,
    perplexity: float = 30.0,
    seed: int = 0,
) -> pd.DataFrame:
    """UMAP and t-SNE of all sets together.

    As in the paper's supplement B.1: 50 principal components of the 3,000 most variable genes of log1p of counts scaled
    to 10,000, each scaled to unit variance. Unlike there, sets are not integrated first, which would hide differences.

    {parameters, compared, labels_key, layer, normalized}
    genes
        Genes whose expression is added to the table, to color cells by.
    n_neighbors, min_dist, perplexity, seed
        As for :func:`scanpy.pp.neighbors`, :func:`scanpy.tl.umap` and, up to a third of the cells,
        :func:`scanpy.tl.tsne`.

    Returns
    -------
    One row per cell: ``set`` (``"real"`` or a name), ``type`` with ``labels_key``, ``UMAP1``, ``UMAP2``, ``tSNE1``,
    ``tSNE2``, and a column for each of ``genes`` with log1p of counts scaled to 10,000.
    {errors, reference, example}
    """
    if absent := [gene for gene in genes if gene not in real.var_names]:
        raise KeyError(f"genes must be in real.var_names, got {absent}.")
    cells = read_sets(real, synthetic, labels_key=labels_key, layer=layer, normalized=normalized)
    if (n_cells := sum(map(len, cells.values()))) < 10:
        raise ValueError(f"real and synthetic must have at least 10 cells for an embedding, got {n_cells}.")
    x = vstack([of.log_expression for of in cells.values()], format="csr")
    table = pd.DataFrame({"set": np.repeat(list(cells), [len(of) for of in cells.values()])})
    if labels_key is not None:
        table["type"] = np.concatenate([of.types for of in cells.values()])

    together = AnnData(x)
    sc.pp.highly_variable_genes(together, n_top_genes=min(_N_GENES, together.n_vars))
    variable = AnnData(x[:, np.flatnonzero(together.var["highly_variable"])].toarray())
    sc.pp.scale(variable, max_value=10)
    sc.pp.pca(variable, n_comps=min(_N_COMPONENTS, *(side - 1 for side in variable.shape)), random_state=seed)
    sc.tl.tsne(variable, use_rep="X_pca", perplexity=min(perplexity, n_cells / 3), random_state=seed)
    table[["UMAP1", "UMAP2"]] = umap_coordinates(np.asarray(variable.obsm["X_pca"]), n_neighbors, min_dist, seed)
    table[["tSNE1", "tSNE2"]] = np.asarray(variable.obsm["X_tsne"])
    for gene in genes:
        table[gene] = x[:, real.var_names.get_loc(gene)].toarray().ravel()
    return table
