"""Real and generated cells in one UMAP and one t-SNE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy.sparse import vstack

from activa.pl.embeddings import umap_coordinates
from activa.experiments._sets import Synthetic, read

N_GENES = 3000
N_COMPONENTS = 50


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

    As in the paper's supplement B.1: the 3,000 most variable genes of log1p of counts scaled to 10,000, each scaled to unit
    variance, and 50 principal components. Unlike there, sets are not integrated first, which would hide differences.

    Parameters
    ----------
    real, synthetic, layer, normalized
        As of :func:`activa.experiments.rf_detection`.
    labels_key
        Column of ``obs`` with the types, in every set, to have them in the table.
    genes
        Genes whose expression is added to the table, to color cells by.
    n_neighbors, min_dist
        As of :func:`scanpy.pp.neighbors` and :func:`scanpy.tl.umap`.
    perplexity
        Of the t-SNE; at most a third of the cells.
    seed
        Seed of the components and embeddings.

    Returns
    -------
    A row a cell: ``set`` (``"real"`` or a name), ``type`` where ``labels_key`` is given, ``UMAP1``, ``UMAP2``, ``tSNE1``,
    ``tSNE2``, and a column for each of ``genes`` with log1p of counts scaled to 10,000.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.experiments.rf_detection`; if a gene is not there, no gene varies, or there are fewer than ten
        cells in all.

    References
    ----------
    Figures S12 to S14 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> table = manifold(held_out, {"ACTIVA": synthetic}, labels_key="cell_type", genes=["CD79A"])
    >>> activa.pl.manifold(table)
    >>> activa.pl.manifold(table, color="CD79A")
    >>> activa.pl.manifold(table, basis="tSNE", highlight="Megakaryocyte")
    """
    if absent := [gene for gene in genes if gene not in real.var_names]:
        raise KeyError(f"genes {absent} are not in real.var_names.")
    cells = read(real, synthetic, labels_key=labels_key, layer=layer, normalized=normalized)
    if (n_cells := sum(map(len, cells.values()))) < 10:
        raise ValueError(f"There are {n_cells} cells in all; an embedding needs at least 10.")
    x = vstack([of.log_expression for of in cells.values()], format="csr")
    table = pd.DataFrame({"set": np.repeat(list(cells), [len(of) for of in cells.values()])})
    if labels_key is not None:
        table["type"] = np.concatenate([of.types for of in cells.values()])

    together = AnnData(x)
    sc.pp.highly_variable_genes(together, n_top_genes=min(N_GENES, together.n_vars))
    variable = AnnData(x[:, np.flatnonzero(together.var["highly_variable"])].toarray())
    sc.pp.scale(variable, max_value=10)
    sc.pp.pca(variable, n_comps=min(N_COMPONENTS, *(side - 1 for side in variable.shape)), random_state=seed)
    sc.tl.tsne(variable, use_rep="X_pca", perplexity=min(perplexity, n_cells / 3), random_state=seed)
    embeddings = {
        "UMAP": umap_coordinates(np.asarray(variable.obsm["X_pca"]), n_neighbors, min_dist, seed),
        "tSNE": np.asarray(variable.obsm["X_tsne"]),
    }
    for basis, coordinates in embeddings.items():
        table[f"{basis}1"], table[f"{basis}2"] = coordinates[:, 0], coordinates[:, 1]
    for gene in genes:
        table[gene] = x[:, real.var_names.get_loc(gene)].toarray().ravel()
    return table
