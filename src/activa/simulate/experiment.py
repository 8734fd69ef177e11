"""Experiments whose truth is known: conditions that differ as asked, donors, and the same cells twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from activa.arguments import check_booleans
from activa.assembly import obs_of
from activa.model import ACTIVA
from activa.request import Request, categories_to_codes, proportional
from activa.sampler import Sampler
from activa.seeds import check_seed
from activa.simulate.donors import Donors
from activa.simulate.effects import Abundance, Depth, Dispersion, Effect, Expression
from activa.simulate.simulated import simulated_cells
from activa.simulate.states import Shift, States, draw_cells, sample_states, sampler_of

if TYPE_CHECKING:
    from anndata import AnnData

_GENES_STREAM, _DONORS_STREAM, _TYPES_STREAM = 260, 261, 262
_EFFECTS = (Expression, Dispersion, Abundance, Depth)
_PROFILE_CELLS = 200  # per type, whose mean rates tell which genes are expressed


def experiment(
    model: ACTIVA | Sampler,
    n: int | None = None,
    *,
    conditions: Mapping[str, Sequence[Effect]],
    donors: Donors | None = None,
    paired: bool = False,
    labels: Mapping[str, int] | str | None = None,
    batch: str | None = None,
    rates: bool = False,
    seed: int | None = None,
) -> AnnData:
    """Simulate cells of conditions that differ from the model, and from each other, by known effects.

    A condition without effects is the model as it is; two of them are a null, without any difference. The effects of a
    condition add up on the log scale.

    Parameters
    ----------
    model
        A trained model of counts with the log-linear architecture, which is the default.
    n
        Cells per condition, or per donor where there are donors.
    conditions
        Name -> effects: :class:`Expression`, :class:`Dispersion`, :class:`Abundance` and :class:`Depth`.
    donors
        New donors of each condition. None: cells differ as in the model, and there are no donors.
    paired
        Whether all conditions have the same cells (and donors): of the same states and library sizes, apart from the
        effects, with counts drawn anew. ``obs["cell"]`` tells which rows are one cell.
    labels
        Types as in :meth:`activa.Sampler.generate`, per condition or donor: one type, or type -> number of cells. None takes
        training proportions.
    batch
        Batch of all cells. None draws batches as they occur in the type.
    rates
        Whether to write the expected counts of each cell, the truth at the level of RNA, to ``layers["rates"]`` (dense
        float32).
    seed
        The same seed gives the same cells, bit for bit, on one device. None takes ``scvi.settings.seed``, or a fresh seed if
        that is not set.

    Returns
    -------
    AnnData of cells x genes, with counts in ``X`` (CSR float32) and in the registered layer. ``obs`` has type, batch,
    covariates, ``condition``, ``donor``, ``cell`` and ``library_size`` (after :class:`Depth`). The truth:

    - ``varm["log2_fold_change_NAME"]``, a table of genes x types for each condition, relative to the model; and
      ``varm["log2_dispersion_NAME"]`` where a dispersion changes. Donors come on top.
    - ``uns["activa"]["truth"]``: effects, expected proportions of types in each condition, and donors.

    Raises
    ------
    TypeError, ValueError, KeyError
        If an argument does not fit, or names a gene, type or batch that the model does not have.

    Examples
    --------
    >>> effects = [activa.simulate.Expression(["CD79A"], [2.0])]
    >>> cells = activa.simulate.experiment(model, 100, conditions={"control": [], "treated": effects}, seed=0)
    >>> cells.obs["condition"].value_counts().to_dict()
    {'control': 100, 'treated': 100}
    """
    sampler, seed = sampler_of(model), check_seed(seed)
    check_booleans(paired=paired, rates=rates)
    effects_of = _checked(conditions, donors, paired)
    types, names, columns = sampler.types, list(effects_of), _columns(sampler.types)
    written = {"condition", "library_size", *(["donor"] if donors else []), *(["cell"] if paired else [])}
    if taken := sorted(written & {sampler.design.labels_key, *sampler.design.obs_columns}):
        raise ValueError(f"obs columns {taken} are written by the experiment: register yours by other names.")
    n_types, n_donors = len(types), 1 if donors is None else donors.n

    # a unit is a condition, or a donor of it; the cells of a unit come one after the other
    total, proportions = _proportions(sampler, n, labels, effects_of, seed)
    of_units = np.repeat(proportions[:1] if paired else proportions, n_donors, axis=0)
    wanted = _cells_of_units(total, of_units, donors, np.random.default_rng([seed, _TYPES_STREAM]))
    label = np.concatenate([np.repeat(np.arange(n_types), row) for row in wanted])
    request = Request(labels=types[label].tolist(), batch=batch, seed=seed)
    plan = request.plan(sampler.design, sampler.module)
    states, obs = sample_states(sampler, plan, seed), obs_of(plan, sampler.design, None)

    cell, unit = np.arange(len(plan)), np.repeat(np.arange(len(wanted)), total)
    condition = unit // n_donors
    if paired:
        cell, condition = np.tile(cell, len(names)), np.repeat(np.arange(len(names)), len(cell))
    unit, label = unit[cell], label[cell]
    states = _with_depth(states, effects_of, request, sampler, seed, cell, condition)
    of_cells = condition * n_types + label
    tables = _gene_tables(sampler, effects_of, seed)
    rate, dispersion = (
        [Shift(table.reshape(-1, table.shape[-1]).astype(np.float32), of_cells)] if table.any() else []
        for table in tables
    )
    if donors is not None:
        rng = np.random.default_rng([seed, _DONORS_STREAM])
        shifts = donors.draw(len(wanted), n_types, sampler.genes, rng)
        rate.append(Shift(shifts.reshape(-1, shifts.shape[-1]), unit * n_types + label))
        depth = rng.normal(-(donors.library_spread**2) / 2, donors.library_spread, len(wanted))
        states = replace(states, log_library=(states.log_library + depth[unit]).astype(np.float32))

    obs = obs.iloc[cell].copy()
    obs["condition"] = pd.Categorical.from_codes(condition, categories=pd.Index(names))
    if donors is not None:
        known = [f"{'donor' if paired else names[i // n_donors]}_{i % n_donors + 1}" for i in range(len(wanted))]
        obs["donor"] = pd.Categorical.from_codes(unit, categories=pd.Index(known))
    if paired:
        obs["cell"] = cell
    obs["library_size"] = np.exp(states.log_library)
    truth = _truth(sampler, effects_of, proportions, donors)
    draw = partial(draw_cells, sampler, states, seed, rate=rate, dispersion=dispersion)
    cells = simulated_cells(sampler, draw(), obs, truth=truth, seed=seed, rates=draw(expected=True) if rates else None)
    for what, of_conditions in zip(("log2_fold_change", "log2_dispersion"), tables, strict=True):
        for name, table in zip(names, of_conditions, strict=True):
            if what == "log2_fold_change" or table.any():
                cells.varm[f"{what}_{name}"] = pd.DataFrame(table.T / np.log(2), cells.var_names, columns)
    return cells


def _checked(conditions: Any, donors: Any, paired: bool) -> dict[str, tuple[Effect, ...]]:
    """Effects of the conditions, by names that h5ad can hold."""
    if not isinstance(conditions, Mapping) or not conditions:
        raise TypeError(f"conditions must map names to sequences of effects, got {conditions!r}.")
    if donors is not None and not isinstance(donors, Donors):
        raise TypeError(f"donors must be activa.simulate.Donors or None, got {donors!r}.")
    found = {}
    for name, effects in conditions.items():
        if not isinstance(name, str) or name in ("", ".", "..") or "/" in name:
            raise ValueError(f"conditions must have names without a slash, which are not dots alone, got {name!r}.")
        if isinstance(effects, _EFFECTS) or not isinstance(effects, Sequence):
            raise TypeError(f"conditions[{name!r}] must be a sequence of effects, got {effects!r}.")
        for effect in effects:
            if not isinstance(effect, _EFFECTS):
                raise TypeError(f"conditions[{name!r}] must hold effects of activa.simulate, got {effect!r}.")
            if paired and isinstance(effect, Abundance):
                raise ValueError("paired=True has the same cells in all conditions: leave Abundance out, or paired.")
        found[name] = tuple(effects)
    return found


def _columns(types: np.ndarray) -> list[str]:
    """Names of types as columns of tables in files, which cannot hold a slash."""
    columns = [str(name).replace("/", "_") for name in types]
    if repeated := sorted({name for name in columns if columns.count(name) > 1}):
        raise ValueError(f"model has types that are all named {repeated} in files, where a slash is '_': rename them.")
    return columns


def _proportions(
    sampler: Sampler, n: int | None, labels: Any, effects_of: Mapping[str, Sequence[Effect]], seed: int
) -> tuple[int, np.ndarray]:
    """Cells per unit, and the expected proportions of types in each condition, ``(n_conditions, n_types)``."""
    if not (labels is None or isinstance(labels, str | Mapping | pd.Series)):
        raise TypeError(f"labels must be a type, or map types to numbers of cells, got {labels!r}.")
    codes = Request(n, labels, seed=seed).plan(sampler.design, sampler.module).label
    base = sampler.design.type_sizes if labels is None else np.bincount(codes, minlength=len(sampler.types))
    rows = []
    for name, effects in effects_of.items():
        factors = [effect.factors(sampler.types) for effect in effects if isinstance(effect, Abundance)]
        row = base * np.prod(factors, axis=0)
        if not row.sum() > 0:
            raise ValueError(f"conditions[{name!r}] leaves no cell of any type: raise a factor of Abundance.")
        rows.append(row / row.sum())
    return len(codes), np.stack(rows)


def _cells_of_units(total: int, expected: np.ndarray, donors: Donors | None, rng: np.random.Generator) -> np.ndarray:
    """Number of cells of each unit and type, ``(n_units, n_types)``."""
    if donors is None or donors.concentration is None:
        return np.stack([proportional(total, row) for row in expected])
    # a gamma shape of 0, of a type without cells, gives 0
    gammas = rng.gamma(donors.concentration * expected)
    empty = gammas.sum(1) == 0  # shapes so small that all draws round to 0
    gammas[empty] = expected[empty]
    return rng.multinomial(total, gammas / gammas.sum(1, keepdims=True))


def _with_depth(
    states: States,
    effects_of: Mapping[str, Sequence[Effect]],
    request: Request,
    sampler: Sampler,
    seed: int,
    cell: np.ndarray,
    condition: np.ndarray,
) -> States:
    """States of the rows, with the library sizes of their conditions."""
    log_library = states.log_library[cell]
    for code, effects in enumerate(effects_of.values()):
        own = condition == code
        for effect in effects:
            if isinstance(effect, Depth):
                if effect.batch is not None:
                    plan = replace(request, batch=effect.batch).plan(sampler.design, sampler.module)
                    log_library[own] = sample_states(sampler, plan, seed).log_library[cell[own]]
                log_library[own] += np.float32(np.log(effect.factor))
    return replace(states.take(cell), log_library=log_library)


def _gene_tables(
    sampler: Sampler, effects_of: Mapping[str, Sequence[Effect]], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Natural logs of factors on rates, and on dispersions, ``(n_conditions, n_types, n_genes)``."""
    genes, shape = pd.Index(sampler.genes), (len(effects_of), len(sampler.types), len(sampler.genes))
    tables = {kind: np.zeros(shape) for kind in (Expression, Dispersion)}
    rng = np.random.default_rng([seed, _GENES_STREAM])
    of_genes = [
        (i, e) for i, es in enumerate(effects_of.values()) for e in es if isinstance(e, Expression | Dispersion)
    ]
    means = np.zeros(shape[1:])
    if any(isinstance(effect.genes, int) for _, effect in of_genes):
        means = _mean_rates(sampler, seed)
    for code, effect in of_genes:
        chosen = np.arange(shape[1])
        if effect.types is not None:
            chosen = categories_to_codes("types", np.array(effect.types, dtype=object), sampler.types)
        positions, logs = effect.changes(genes, means[chosen], rng)
        tables[type(effect)][code][np.ix_(chosen, positions)] += logs
    return tables[Expression], tables[Dispersion]


def _mean_rates(sampler: Sampler, seed: int) -> np.ndarray:
    """Mean expected counts of each type with training cells, ``(n_types, n_genes)``; 0 for others."""
    means = np.zeros((len(sampler.types), len(sampler.genes)))
    for code in np.flatnonzero(sampler.design.type_sizes):
        cells = sampler.generate(
            _PROFILE_CELLS, labels=[sampler.types[code]] * _PROFILE_CELLS, expected=True, seed=seed
        )
        means[code] = np.asarray(cells.X).mean(0)
    return means


def _truth(
    sampler: Sampler, effects_of: Mapping[str, Sequence[Effect]], proportions: np.ndarray, donors: Donors | None
) -> dict[str, Any]:
    """What was asked for, in values that h5ad and zarr hold."""
    effects: dict[str, Any] = {}
    for name, of_condition in effects_of.items():
        effects[name] = {}
        for i, effect in enumerate(of_condition):
            fields = {key: value for key, value in vars(effect).items() if value is not None}
            if isinstance(effect, Abundance):  # types may have slashes, which keys cannot
                fields = {"types": list(effect.fold_changes), "fold_changes": list(effect.fold_changes.values())}
            fields = {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}
            effects[name][f"{i}"] = {"effect": type(effect).__name__, **fields}
    table = pd.DataFrame(proportions.T, sampler.types.astype(str), list(effects_of))
    truth: dict[str, Any] = {"conditions": effects, "proportions": table}
    if donors is not None:
        fields = {name: value for name, value in vars(donors).items() if value is not None}
        truth["donors"] = fields | {"variance": donors.of_genes(sampler.genes)}
    return truth
