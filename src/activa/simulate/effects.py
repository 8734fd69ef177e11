"""What differs in a condition of a simulated experiment: expression, variance, proportions of types, depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from activa.arguments import check_integers, check_numbers
from activa.request import categories_to_codes

_MAX_LOG2 = 20.0  # larger fold changes give rates that no count has


@dataclass(frozen=True)
class Expression:
    """Differential expression: the expected counts of genes change by a known factor, and those of others do not.

    Parameters
    ----------
    genes
        Names, or a number of genes to draw among those whose mean count is at least ``min_mean`` in one of the types.
    log2_fold_change
        One positive number for all genes, whose sign is drawn, or one signed number per named gene.
    share_up
        Share of the genes that go up, exact up to rounding, where one number is given for all.
    types
        Types in which the genes change; all by default.
    min_mean
        Least mean of the counts that a drawn gene has in one of the types.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another type or out of range, or there is not one fold change per gene.

    Examples
    --------
    >>> Expression(["CD79A", "CD74"], [2.0, -1.0], types=["CD19+ B"]).types
    ('CD19+ B',)
    """

    genes: Sequence[str] | int
    log2_fold_change: float | Sequence[float] = 1.0
    share_up: float = 0.5
    types: Sequence[str] | None = None
    min_mean: float = 0.1

    def __post_init__(self) -> None:
        check_numbers(share_up=self.share_up, least=0, most=1)
        _check_genes_and_types(self)
        if np.ndim(self.log2_fold_change) == 0:
            check_numbers(log2_fold_change=self.log2_fold_change, above=0, most=_MAX_LOG2)
            return
        if isinstance(self.genes, int):
            raise ValueError("log2_fold_change must be one number where genes are drawn: name the genes, or give one.")
        object.__setattr__(self, "log2_fold_change", tuple(self.log2_fold_change))  # type: ignore[arg-type]
        for change in self.log2_fold_change:  # type: ignore[union-attr]
            check_numbers(log2_fold_change=change, least=-_MAX_LOG2, most=_MAX_LOG2)
        if len(self.log2_fold_change) != len(self.genes):  # type: ignore[arg-type]
            n_given, n_genes = len(self.log2_fold_change), len(self.genes)  # type: ignore[arg-type]
            raise ValueError(f"log2_fold_change must be one number or one per gene, got {n_given} for {n_genes} genes.")

    def changes(self, names: pd.Index, mean: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the genes, and natural logs of their fold changes; ``mean`` is of types x genes."""
        genes = _positions(self, names, mean, rng)
        changes = np.asarray(self.log2_fold_change, dtype=float)
        if changes.ndim == 0:
            up = rng.permutation(len(genes)) < round(self.share_up * len(genes))
            changes = np.where(up, changes, -changes)
        return genes, changes * np.log(2)


@dataclass(frozen=True)
class Dispersion:
    """Differential variance: the dispersions of genes multiply by a factor, and their means stay.

    A count with mean m has the variance m + a m + d m^2, with a clumping a that differs between cells. The dispersion d is
    multiplied.

    Parameters
    ----------
    genes, types, min_mean
        As in :class:`Expression`.
    factor
        Factor on the dispersion, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another type or out of range.

    Examples
    --------
    >>> Dispersion(20, factor=4.0).factor
    4.0
    """

    genes: Sequence[str] | int
    factor: float
    types: Sequence[str] | None = None
    min_mean: float = 0.1

    def __post_init__(self) -> None:
        check_numbers(factor=self.factor, above=0, most=1e6)
        _check_genes_and_types(self)

    def changes(self, names: pd.Index, mean: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the genes, and natural logs of the factors; ``mean`` is of types x genes."""
        genes = _positions(self, names, mean, rng)
        return genes, np.full(len(genes), np.log(self.factor))


@dataclass(frozen=True)
class Abundance:
    """Differential abundance: the proportions of types multiply by factors, and all are scaled to sum to 1.

    Parameters
    ----------
    fold_changes
        Type -> factor, at least 0. Those of other types are 1 before the scaling.

    Raises
    ------
    TypeError, ValueError
        If it is not a mapping, or a factor is not a number of at least 0.

    Examples
    --------
    >>> Abundance({"CD34+": 4.0}).fold_changes
    {'CD34+': 4.0}
    """

    fold_changes: Mapping[str, float]

    def __post_init__(self) -> None:
        if not isinstance(self.fold_changes, Mapping) or not self.fold_changes:
            raise TypeError(f"fold_changes must map types to factors, got {self.fold_changes!r}.")
        for name, factor in self.fold_changes.items():
            check_numbers(**{f"fold_changes[{name!r}]": factor}, least=0, most=1e6)  # type: ignore[arg-type]
        object.__setattr__(self, "fold_changes", dict(self.fold_changes))

    def factors(self, types: np.ndarray) -> np.ndarray:
        """Factors of the types, ``(n_types,)``."""
        factors = np.ones(len(types))
        codes = categories_to_codes("fold_changes", np.array(list(self.fold_changes), dtype=object), types)
        factors[codes] = list(self.fold_changes.values())
        return factors


@dataclass(frozen=True)
class Depth:
    """Another sequencing depth: library sizes multiply by a factor, or are drawn as in another batch.

    Parameters
    ----------
    factor
        Factor on the library sizes, above 0.
    batch
        Batch whose library sizes the cells' types have; their own by default.

    Raises
    ------
    TypeError, ValueError
        If the factor is not a number above 0.

    Examples
    --------
    >>> Depth(0.5)
    Depth(factor=0.5, batch=None)
    """

    factor: float = 1.0
    batch: str | None = None

    def __post_init__(self) -> None:
        check_numbers(factor=self.factor, above=0, most=1e6)


type Effect = Expression | Dispersion | Abundance | Depth


def _check_genes_and_types(effect: Expression | Dispersion) -> None:
    """Check the fields that both have, and keep sequences as tuples."""
    check_numbers(min_mean=effect.min_mean, least=0)
    if isinstance(effect.genes, int | np.integer):
        check_integers(genes=effect.genes)
        object.__setattr__(effect, "genes", int(effect.genes))
    else:
        object.__setattr__(effect, "genes", tuple(map(str, _names("genes", effect.genes))))
    if effect.types is not None:
        object.__setattr__(effect, "types", _names("types", effect.types))


def _names(argument: str, values: Sequence[str]) -> tuple[str, ...]:
    """Distinct names, at least one, as they are: types may be numbers."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray | pd.Index | pd.Series):
        raise TypeError(f"{argument} must be a sequence of names, got {values!r}.")
    names = tuple(values)
    if not names or len(set(map(str, names))) < len(names):
        raise ValueError(f"{argument} must be at least one name, each once, got {list(names)}.")
    return names


def _positions(
    effect: Expression | Dispersion, names: pd.Index, mean: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Positions of the effect's genes, named or drawn."""
    if not isinstance(effect.genes, int):
        found = names.get_indexer(pd.Index(effect.genes))
        if (found < 0).any():
            unknown = [gene for gene, position in zip(effect.genes, found, strict=True) if position < 0]
            raise KeyError(f"genes: {unknown[:5]} are not among the model's {len(names)} genes.")
        return found
    expressed = np.flatnonzero((mean >= effect.min_mean).any(axis=0))
    if len(expressed) < effect.genes:
        raise ValueError(
            f"genes={effect.genes}, but {len(expressed)} genes have a mean count of {effect.min_mean} or more: draw fewer, or "
            "lower min_mean."
        )
    return np.sort(rng.choice(expressed, size=effect.genes, replace=False))
