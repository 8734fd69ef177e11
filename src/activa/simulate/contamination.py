"""Doublets and ambient RNA, added to counts so that what they added is known."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix, vstack

from activa.arguments import check_numbers
from activa.checks import check_values, check_values_of, row_slices, values_in
from activa.data import check_labels
from activa.seeds import check_seed

# Distinguish the random numbers of the two simulations from each other and from those of generation
_DOUBLETS_STREAM, _AMBIENT_STREAM = 258, 259


def doublets(
    adata: AnnData,
    share: float = 0.1,
    *,
    labels_key: str,
    heterotypic_share: float | None = None,
    layer: str | None = None,
    seed: int | None = None,
) -> AnnData:
    r"""Replace pairs of cells by doublets, whose counts are the sums of two cells' (as simulated by Wolock et al. 2019).

    A doublet takes the place of its two cells, and no cell is used twice. Of n cells, the result has the largest m with m +
    round(share * m) <= n, of which exactly round(share * m) are doublets: n - m, or one fewer, in which case one cell is left
    out. Pairs are of any cells: where doublets cannot be of two batches, give the cells of one batch at a time.

    Parameters
    ----------
    adata
        Cells with counts and types, generated or real. It is not changed.
    share
        Share of the result's cells that are doublets, 0 to 1.
    labels_key
        Column of ``obs`` with the types.
    heterotypic_share
        Share of doublets that are of two different types, 0 to 1, exact up to rounding; pairs of either kind are as likely as
        among random pairs. None draws pairs at random, whatever their types.
    layer
        Layer with the counts; ``X`` by default.
    seed
        The same seed gives the same cells. None takes ``scvi.settings.seed``, or a fresh seed if that is not set.

    Returns
    -------
    AnnData of cells in random order: counts in ``X`` (CSR float32), and in ``layer``; ``obs`` of a doublet is that of its
    first cell, with the columns ``doublet`` (boolean), ``doublet_type`` (``"singlet"``, ``"homotypic"`` or
    ``"heterotypic"``) and ``doublet_with`` (type of the second cell, missing for singlets), and its name is those of its
    cells, joined by ``+``. ``var``, ``varm`` and ``uns`` are kept, embeddings and other layers are not; the settings are in
    ``uns["activa"]["truth"]["doublets"]``.

    Raises
    ------
    TypeError, KeyError
        If an argument is of another type, or there is no such column or layer.
    ValueError
        If values are not counts, a number is out of range, the cells have doublets or ambient RNA already, or too few cells
        are of one type or of different types for ``heterotypic_share``.

    References
    ----------
    Wolock, Lopez and Klein (2019), Scrublet, Cell Systems, https://doi.org/10.1016/j.cels.2018.11.005

    Examples
    --------
    >>> cells = activa.simulate.doublets(synthetic, 0.25, labels_key="cell_type", seed=0)
    >>> cells.n_obs, int(cells.obs["doublet"].sum())
    (160, 40)
    """
    check_numbers(share=share, least=0, most=1)
    check_numbers(heterotypic_share=heterotypic_share, least=0, most=1, optional=True)
    seed = check_seed(seed)
    counts = _counts_of(adata, layer)
    check_labels("adata", adata, labels_key)
    if taken := [column for column in ("doublet", "doublet_type", "doublet_with") if column in adata.obs]:
        raise ValueError(
            f"adata.obs has {taken}, which are written: give cells without doublets, or rename the columns."
        )
    if "ambient" in adata.layers:
        raise ValueError("adata has ambient RNA, of which doublets would have twice as much: make the doublets first.")
    types = adata.obs[labels_key].astype("category").cat
    codes = types.codes.to_numpy()

    rng = np.random.default_rng([seed, _DOUBLETS_STREAM])
    n = len(codes)
    guess = int(n / (1 + share))
    n_result = max(m for m in range(max(guess - 2, 0), guess + 3) if m + round(share * m) <= n)
    n_doublets = round(share * n_result)
    if heterotypic_share is None:
        pairs = rng.permutation(n)[: 2 * n_doublets].reshape(n_doublets, 2)
    else:
        n_different = round(heterotypic_share * n_doublets)
        pairs = _pairs(codes, n_different, n_doublets - n_different, rng)
    first, second = pairs.T
    single = rng.permutation(np.setdiff1d(np.arange(n), pairs))[: n_result - n_doublets]
    order = rng.permutation(n_result)

    kept = np.concatenate([single, first])[order]
    partner = np.concatenate([np.full(len(single), -1), second])[order]
    is_doublet = partner >= 0
    # the code -1 is a missing type
    with_code = np.where(is_doublet, codes[partner], -1)
    kinds: Any = ["singlet", "homotypic", "heterotypic"]
    kind = np.where(is_doublet, 1 + (codes[kept] != with_code), 0)
    obs: Any = adata.obs.iloc[kept].copy()
    obs["doublet"] = is_doublet
    obs["doublet_type"] = pd.Categorical.from_codes(kind, categories=kinds)
    obs["doublet_with"] = pd.Categorical.from_codes(with_code, categories=types.categories)
    names = adata.obs_names.astype(str).to_numpy()
    joined = [f"{names[a]}+{names[b]}" if b >= 0 else names[a] for a, b in zip(kept, partner, strict=True)]
    obs.index = make_index_unique(pd.Index(joined, name=adata.obs_names.name))
    x = csr_matrix(vstack([counts[single], counts[first] + counts[second]], format="csr")[order])
    truth = {"share": float(share), "labels_key": labels_key, "seed": seed}
    if heterotypic_share is not None:
        truth["heterotypic_share"] = float(heterotypic_share)
    return _as_adata(adata, x, obs, layer, {"doublets": truth})


def ambient(
    adata: AnnData,
    share: float | ArrayLike = 0.05,
    *,
    profile: ArrayLike | None = None,
    layer: str | None = None,
    seed: int | None = None,
) -> AnnData:
    r"""Replace a share of each cell's counts by ambient RNA, which is of the same genes in every cell.

    Every molecule is kept with probability 1 - share, and ambient counts are Poisson with mean share * total * profile, so
    that the expected total of a cell is its total before. It is the mixture that DecontX (Yang et al. 2020) and SoupX
    (Young and Behjati 2020) estimate.

    Parameters
    ----------
    adata
        Cells with counts, generated or real. It is not changed.
    share
        Expected share of ambient counts among a cell's counts, 0 to 1, one for all cells or one per cell.
    profile
        Shares of the genes in ambient RNA, or numbers in proportion to them, one per gene in the order of ``var_names``.
        None takes the summed counts of all cells.
    layer
        Layer with the counts; ``X`` by default.
    seed
        The same seed gives the same cells. None takes ``scvi.settings.seed``, or a fresh seed if that is not set.

    Returns
    -------
    AnnData of the same cells: counts in ``X`` (CSR float32), and in ``layer``; those of them that are ambient in
    ``layers["ambient"]`` (CSR float32), and the share asked for in ``obs["ambient_share"]``. ``var``, ``obsm``, ``varm`` and
    ``uns`` are kept, other layers are not; the seed and the profile are in ``uns["activa"]["truth"]["ambient"]``.

    Raises
    ------
    TypeError, KeyError
        If an argument is of another type, or there is no such layer.
    ValueError
        If values are not counts, a share or the profile is out of range or of another length, or the cells have ambient RNA
        already.

    References
    ----------
    Yang et al. (2020), DecontX, Genome Biology, https://doi.org/10.1186/s13059-020-1950-6
    Young and Behjati (2020), SoupX, GigaScience, https://doi.org/10.1093/gigascience/giaa151

    Examples
    --------
    >>> cells = activa.simulate.ambient(synthetic, 0.2, seed=0)
    >>> round(float(cells.layers["ambient"].sum() / cells.X.sum()), 1)
    0.2
    """
    seed = check_seed(seed)
    counts = _counts_of(adata, layer)
    n_cells, n_genes = counts.shape
    if layer == "ambient" or "ambient" in adata.layers or "ambient_share" in adata.obs:
        raise ValueError("adata has a layer 'ambient' or a column 'ambient_share', which are written: rename them.")
    shares = np.broadcast_to(_numbers("share", share, adata.obs_names, scalar=True), n_cells)
    if (shares > 1).any():
        raise ValueError(f"share must be at most 1, got {shares.max()}.")
    given = counts.sum(axis=0, dtype=np.float64) if profile is None else _numbers("profile", profile, adata.var_names)
    weights = np.asarray(given).ravel()
    if not weights.sum() > 0:
        raise ValueError("profile must have a gene above 0, got zeros only.")
    weights = weights / weights.sum()

    rng = np.random.default_rng([seed, _AMBIENT_STREAM])
    kept, added = [], []
    for rows in row_slices(n_cells):
        own, share_of = counts[rows], shares[rows]
        total = np.asarray(own.sum(axis=1, dtype=np.float64)).ravel()
        of_cells = np.repeat(np.arange(len(total)), rng.poisson(share_of * total))
        # a Poisson number of molecules, each of a gene drawn from the profile: independent Poisson counts of all genes
        genes = rng.choice(n_genes, size=len(of_cells), p=weights)
        ones = np.ones(len(genes), dtype=np.float32)
        added.append(csr_matrix((ones, (of_cells, genes)), shape=own.shape))
        stays = np.repeat(1 - share_of, np.diff(own.indptr))
        own.data = rng.binomial(own.data.astype(np.int64), stays).astype(np.float32)
        own.eliminate_zeros()
        kept.append(own)
    ambient_counts = csr_matrix(vstack(added, format="csr"))
    obs: Any = adata.obs.copy()
    obs["ambient_share"] = np.array(shares)
    x = csr_matrix(vstack(kept, format="csr") + ambient_counts)
    cells = _as_adata(adata, x, obs, layer, {"ambient": {"profile": weights, "seed": seed}})
    cells.layers["ambient"] = ambient_counts
    for name, values in adata.obsm.items():
        cells.obsm[name] = values.copy()
    return cells


def _counts_of(adata: Any, layer: str | None) -> csr_matrix:
    """A copy of the counts, float32; an error says why they are none."""
    check_values_of(adata, layer=layer)
    x = adata.X if layer is None else adata.layers[layer]
    counts = csr_matrix(x[:], dtype=np.float32, copy=True)
    if (fractional := counts.data[counts.data % 1 > 0]).size:
        found = f"{values_in(layer)} has values that are not whole, got {fractional[0]:.4g}"
        raise ValueError(f"{found}: name the layer that has the counts as layer=.")
    check_values(x, layer=layer, gene_likelihood="nb")
    return counts


def _as_adata(
    adata: AnnData, x: csr_matrix, obs: pd.DataFrame, layer: str | None, truth: dict[str, dict[str, Any]]
) -> AnnData:
    """Counts of the same genes, with what was done to them in ``uns``."""
    uns = deepcopy(dict(adata.uns))
    origin = uns.setdefault("activa", {})
    origin["truth"] = {**origin.get("truth", {}), **truth}
    varm: Any = {name: values.copy() for name, values in adata.varm.items()}
    layers = {layer: x.copy()} if layer else None
    var: Any = adata.var
    return AnnData(x, obs=obs, var=var.copy(), varm=varm, layers=layers, uns=uns)


def _pairs(codes: np.ndarray, n_different: int, n_same: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs of cells of different types and of one type, ``(n_pairs, 2)``, drawn one by one among the cells that are left."""
    left = np.bincount(codes)
    most = min(left.sum() // 2, left.sum() - left.max())
    if n_different > most:
        raise ValueError(
            f"heterotypic_share needs {n_different} pairs of cells of different types, and there are at most {most}: lower "
            "heterotypic_share or share."
        )
    drawn = []
    for still in range(n_different, 0, -1):
        others = left.sum() - left
        # the most common type must be in every pair that is left, if its cells would otherwise remain
        weights = left * others if others.min() > still else others == others.min()
        a = rng.choice(len(left), p=weights / weights.sum())
        weights = np.where(np.arange(len(left)) == a, 0, left)
        b = rng.choice(len(left), p=weights / weights.sum())
        left[[a, b]] -= 1
        drawn.append((a, b))
    if n_same > (left // 2).sum():
        raise ValueError(
            f"heterotypic_share needs {n_same} pairs of cells of one type, and there are at most {(left // 2).sum()}: raise "
            "heterotypic_share, or lower share."
        )
    for _ in range(n_same):
        weights = left * (left - 1)
        a = rng.choice(len(left), p=weights / weights.sum())
        left[a] -= 2
        drawn.append((a, a))
    types = np.array(drawn, dtype=np.int64).reshape(-1)
    # the k-th time that a type was drawn takes its k-th cell, in random order
    cells = rng.permutation(len(codes))
    cells = cells[np.argsort(codes[cells], kind="stable")]
    start = np.searchsorted(codes[cells], np.arange(len(left)))
    nth = pd.Series(types).groupby(types).cumcount().to_numpy()
    return rng.permuted(cells[start[types] + nth].reshape(-1, 2), axis=1)


def _numbers(name: str, values: Any, index: pd.Index, *, scalar: bool = False) -> np.ndarray:
    """Finite numbers of at least 0, one per cell or gene of ``index``, or one number where that is allowed."""
    if isinstance(values, pd.Series) and not values.index.equals(index):
        raise ValueError(f"{name} must have the index of adata, in its order: reindex it.")
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be {'a number or ' * scalar}numbers, got {values!r}.")
    if array.shape != (len(index),) and not (scalar and array.ndim == 0):
        raise ValueError(f"{name} must be {'one number or ' * scalar}{len(index)} numbers, got shape {array.shape}.")
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(f"{name} must be finite and at least 0, got {array.min()} to {array.max()}.")
    return array.astype(np.float64)
