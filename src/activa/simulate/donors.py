"""Donors: a random effect on expression, composition and depth, learned from the donors of real cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from activa.arguments import check_integers, check_numbers
from activa.checks import check_values, check_values_of
from activa.data import check_labels

_MIN_CELLS = 10  # of a donor and type, from which their expression is estimated
_NOISE = 0.05  # squared coefficient of variation that is added to the sampling error in a gene's weights


@dataclass(frozen=True, eq=False)
class Donors:
    """New donors of each condition of :func:`experiment`, who differ as given, or as learned from real donors.

    A donor's log expression of a gene in a type is shifted by a draw from N(-v / 2, v), so that expected counts over donors
    are those of the model.

    Parameters
    ----------
    n
        Donors per condition.
    variance
        Variance v between donors of the natural log of expression, at least 0: one for all genes, or a Series by gene.
    shared
        Share of the variance that a donor's types have in common, 0 to 1. The rest is independent between types.
    concentration
        Concentration of the Dirichlet distribution that a donor's proportions of types are drawn from, around the
        condition's; the larger, the more alike. None gives all donors the condition's proportions.
    library_spread
        Standard deviation between donors of the log of the library size, at least 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another type or out of range.

    Examples
    --------
    >>> Donors(6, variance=0.1).n
    6
    """

    n: int
    variance: float | pd.Series = 0.1
    shared: float = 0.5
    concentration: float | None = None
    library_spread: float = 0.0

    def __post_init__(self) -> None:
        check_integers(n=self.n)
        check_numbers(shared=self.shared, least=0, most=1)
        check_numbers(concentration=self.concentration, above=0, optional=True)
        check_numbers(library_spread=self.library_spread, least=0, most=10)
        if not isinstance(self.variance, pd.Series):
            check_numbers(variance=self.variance, least=0, most=10)
        elif not pd.api.types.is_numeric_dtype(self.variance):
            raise TypeError(f"variance must hold numbers, got dtype {self.variance.dtype}.")
        elif not np.isfinite(self.variance).all() or not self.variance.between(0, 10).all():
            low, high = self.variance.min(), self.variance.max()
            raise ValueError(f"variance must be from 0 to 10 and finite for every gene, got {low} to {high}.")
        elif not self.variance.index.is_unique:
            raise ValueError("variance must have each gene once, got an index with repeated names.")

    @classmethod
    def learn(cls, adata: AnnData, *, donor_key: str, labels_key: str, n: int, layer: str | None = None) -> Self:
        """Learn how donors differ, by the method of moments on the summed counts of each donor and type.

        Of the variance between donors, what the sampling of a donor's cells and counts explains is subtracted. A gene's
        variance is a mean over types, shrunk towards that of all genes as far as its error asks. The variance of a few
        donors is uncertain itself: with five, its standard error is 70% for a gene, and far less for the mean over genes.

        Parameters
        ----------
        adata
            Cells with counts. A new donor's effect comes on top of the model's cells. Those are a mixture of the training
            donors, whether or not the donor was its ``batch_key``, so that cells within a new donor vary more than within
            a real one; with the donor as ``batch_key``, ``batch`` of :func:`experiment` takes the cells of one of them.
        donor_key, labels_key
            Columns of ``obs`` with donors and types.
        n
            Donors per condition, of the result.
        layer
            Layer with the counts; ``X`` by default.

        Raises
        ------
        TypeError, KeyError
            If an argument is of another type, or there is no such column or layer.
        ValueError
            If values are not counts, or no type has ten cells of each of two donors.

        Examples
        --------
        >>> donors = Donors.learn(adata, donor_key="donor", labels_key="cell_type", n=6)  # doctest: +SKIP
        """
        check_integers(n=n)
        check_values_of(adata, layer=layer)
        if not adata.var_names.is_unique:
            raise ValueError("adata.var_names must be unique, got repeated names: call adata.var_names_make_unique().")
        for key in (donor_key, labels_key):
            check_labels("adata", adata, key)
        x: Any = adata.X if layer is None else adata.layers[layer]
        check_values(x, layer=layer, gene_likelihood="nb")
        counts = csr_matrix(x[:], dtype=np.float64)
        donor, label = (adata.obs[key].astype(str).to_numpy() for key in (donor_key, labels_key))
        size = pd.crosstab(label, donor)
        enough = {str(name): [str(d) for d in of.index[of >= _MIN_CELLS]] for name, of in size.iterrows()}
        donors_of = {name: known for name, known in enough.items() if len(known) >= 2}
        by_type = {
            name: [_Pseudobulk.of(counts[(label == name) & (donor == one)]) for one in known]
            for name, known in donors_of.items()
        }
        if not by_type:
            raise ValueError(
                f"adata.obs[{donor_key!r}] must have two donors with {_MIN_CELLS} cells of one type each, got "
                f"{size.to_dict()}."
            )
        moments = {name: _moments(bulks) for name, bulks in by_type.items()}
        variance = _variance(moments)
        return cls(
            n,
            pd.Series(variance, index=adata.var_names.astype(str)),
            _shared({name: (donors_of[name], moments[name]) for name in moments}),
            _concentration(size.to_numpy()),
            _library_spread(by_type),
        )

    def of_genes(self, genes: np.ndarray) -> np.ndarray:
        """Variance of each of the genes, ``(n_genes,)``."""
        if not isinstance(self.variance, pd.Series):
            return np.full(len(genes), float(self.variance))
        missing = ~np.isin(genes, self.variance.index)
        if missing.any():
            raise KeyError(f"variance has no gene {genes[missing][0]!r}, and {missing.sum()} of the model's in all.")
        return self.variance.reindex(genes).to_numpy(dtype=float)

    def draw(self, n: int, n_types: int, genes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Shifts of the log expression of so many donors, float32 ``(n, n_types, n_genes)``."""
        variance = self.of_genes(genes)
        common = rng.standard_normal((n, 1, len(genes))) * self.shared**0.5
        own = rng.standard_normal((n, n_types, len(genes))) * (1 - self.shared) ** 0.5
        return ((common + own) * np.sqrt(variance) - variance / 2).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Pseudobulk:
    """Summed counts of the cells of one donor and type."""

    share: np.ndarray  # share of each gene in the summed counts, (n_genes,)
    error: np.ndarray  # variance of the share that the sampling of cells and counts explains, (n_genes,)
    log_depth: float  # log of the mean library size
    log_depth_error: float  # its sampling variance

    @classmethod
    def of(cls, x: csr_matrix) -> Self:
        library = np.asarray(x.sum(1)).ravel()
        total, n = library.sum(), len(library)
        share = np.asarray(x.sum(0)).ravel() / total
        squares = np.asarray(x.multiply(x).sum(0)).ravel()
        # of a ratio of sums: squared residuals x - share * library of the cells
        residual = squares - 2 * share * (x.T @ library) + share**2 * (library**2).sum()
        error = residual / total**2 * n / (n - 1)
        return cls(share, error, float(np.log(total / n)), float(library.var(ddof=1) / n / (total / n) ** 2))


@dataclass(frozen=True, eq=False)
class _Moments:
    """How the donors of one type differ, relative to their mean; of genes that a donor has."""

    residual: np.ndarray  # share over mean share, minus 1, (n_donors, n_genes)
    error: np.ndarray  # mean sampling variance of the residuals, (n_genes,)
    variance: np.ndarray  # variance of the residuals without that error, (n_genes,)


def _moments(bulks: list[_Pseudobulk]) -> _Moments:
    shares = np.stack([bulk.share for bulk in bulks])
    mean = shares.mean(0)
    square = np.where(mean > 0, mean**2, np.inf)
    error = np.stack([bulk.error for bulk in bulks]).mean(0) / square
    error[mean == 0] = np.inf  # nothing is known of a gene without counts
    residual = shares / np.where(mean > 0, mean, 1) - (mean > 0)
    return _Moments(residual, error, residual.var(0, ddof=1) - np.where(mean > 0, error, 0))


def _variance(moments: dict[str, _Moments]) -> np.ndarray:
    """Variance of the log of each gene's expression between donors: a weighted mean over types, shrunk to that of all genes."""
    n = np.array([len(of.residual) for of in moments.values()])[:, None]
    error, variance = (np.stack([getattr(of, name) for of in moments.values()]) for name in ("error", "variance"))
    weight = (n - 1) / (error + _NOISE) ** 2
    of_gene = weight.sum(0)
    mean = np.divide((weight * variance).sum(0), of_gene, out=np.zeros_like(of_gene), where=of_gene > 0)
    usual = float((weight * variance).sum() / max(weight.sum(), 1e-12))
    # variance of an estimated variance, of normal residuals of the usual size
    uncertain = 2 * (np.maximum(usual, 0) + error) ** 2 / (n - 1)
    noise = np.divide(
        (weight**2 * np.where(weight > 0, uncertain, 0)).sum(0),
        of_gene**2,
        out=np.full_like(of_gene, np.inf),
        where=of_gene > 0,
    )
    known = np.isfinite(noise)
    spread = (
        float(np.average((mean - usual) ** 2 - np.where(known, noise, 0), weights=of_gene)) if of_gene.any() else 0.0
    )
    kept = np.where(known, max(spread, 0.0) / (max(spread, 0.0) + np.where(known, noise, 1) + 1e-12), 0.0)
    # exp(v) - 1 is the squared coefficient of variation of a log-normal expression
    return np.log1p(np.clip(usual + kept * (mean - usual), 0, np.exp(10) - 1))


def _shared(types: dict[str, tuple[list[str], _Moments]]) -> float:
    """Share of the variance that the types of a donor have in common, from covariances between types."""
    common = total = 0.0
    names = list(types)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            donors = [donor for donor in types[first][0] if donor in types[second][0]]
            if len(donors) < 2:
                continue
            a, b = (types[name][1] for name in (first, second))
            rows = [[types[name][0].index(donor) for donor in donors] for name in (first, second)]
            r, s = a.residual[rows[0]], b.residual[rows[1]]
            weight = (len(donors) - 1) / ((a.error + _NOISE) * (b.error + _NOISE))
            covariance = ((r - r.mean(0)) * (s - s.mean(0))).sum(0) / (len(donors) - 1)
            common += float((weight * covariance).sum())
            total += float((weight * (a.variance + b.variance)).sum() / 2)
    return float(np.clip(common / total, 0, 1)) if total > 0 else 0.5


def _concentration(size: np.ndarray) -> float | None:
    """Concentration of the donors' proportions, by the moments of the Dirichlet-multinomial; None if they do not differ."""
    size = size[:, size.sum(0) > 0]
    of_donor = size.sum(0)
    share = size / of_donor
    p = share.mean(1)
    expected, chance = float((p * (1 - p)).sum()), float((1 / of_donor).mean())
    if size.shape[1] < 2 or expected == 0:
        return None
    rho = (float(share.var(1, ddof=1).sum()) / expected - chance) / (1 - chance)
    return max(1 / rho - 1, 1e-2) if rho > 1e-6 else None


def _library_spread(types: dict[str, list[_Pseudobulk]]) -> float:
    """Standard deviation between donors of the log of the mean library size, a mean over types."""
    variances = [
        np.var([bulk.log_depth for bulk in bulks], ddof=1) - np.mean([bulk.log_depth_error for bulk in bulks])
        for bulks in types.values()
    ]
    return float(max(np.mean(variances), 0.0) ** 0.5)
