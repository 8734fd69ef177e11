import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix
from sklearn.neighbors import NearestNeighbors

from activa.data import Cells, check_genes, check_sets, log_normalize, read_cells
from activa.metrics._space import Space

from ._low_fpr import check_share


class TooClose:
    """Which cells are closer to a training cell than real held-out cells are.

    A cell is refused if the distance to its nearest training cell is below a quantile of the distances of held-out cells to
    theirs: of its type, where enough held-out cells are of it, or else of all. Distances are Euclidean, of log1p of counts
    scaled to 10,000, in 50 principal components fitted on the training cells.

    :meth:`activa.ACTIVA.generate` takes it as ``refuse`` and draws others in the place of the refused cells;
    :func:`refuse_close` drops them, of any generator.

    .. warning::
        This keeps near-copies of single cells from being published. It is no differential privacy and no promise about
        membership: what was learnt from the training cells is still in the cells that are kept, many of them together say
        more than each alone, and cells that are alike in these components only by halves are not seen. Where the threshold
        bites, the gap that is left around training cells is itself a trace of them; and the held-out cells decide what is
        kept, and so leave a (small) trace too.

    Parameters
    ----------
    train
        All cells that the generator was trained on: cells x genes of counts.
    held_out
        Real cells of the same population that it never saw; a few hundred at least.
    quantile
        Share of held-out cells that would be refused themselves, and so about what a perfect generator loses.
    labels_key
        Column of ``obs`` with the types, in both sets: types with at least 1 / ``quantile`` held-out cells have a threshold of
        their own. None for one threshold.
    layer
        Layer of the counts in both sets; ``X`` by default.
    seed
        Seed of the principal components.

    Raises
    ------
    KeyError
        If ``labels_key`` or ``layer`` is not in one of the sets.
    TypeError
        If a set is no AnnData.
    ValueError
        If the sets differ in genes or hold no counts, there are fewer than 1 / ``quantile`` held-out cells, or so many of them
        are found among the training cells that the threshold would be zero.

    Examples
    --------
    >>> refuse = activa.metrics.privacy.TooClose(train, held_out, labels_key="cell_type")  # doctest: +SKIP
    >>> model.generate(1000, refuse=refuse, seed=0)  # doctest: +SKIP
    """

    def __init__(
        self,
        train: AnnData,
        held_out: AnnData,
        *,
        quantile: float = 0.05,
        labels_key: str | None = None,
        layer: str | None = None,
        seed: int = 0,
    ) -> None:
        check_share("quantile", quantile)
        sets = {"train": train, "held_out": held_out}
        check_sets(sets, labels_key, layer)
        least = int(np.ceil(1 / quantile))
        if held_out.n_obs < least:
            msg = f"held_out has {held_out.n_obs} cells; quantile={quantile} needs at least {least}."
            raise ValueError(msg)
        cells = read_cells(sets, labels_key=labels_key, layer=layer, normalized=False)
        self.quantile, self.labels_key = quantile, labels_key
        self.genes = train.var_names.copy()
        """Names of the genes, in the order of ``train``."""
        self._space = Space(cells["train"], seed)
        components = self._space.reference_components
        self._neighbors = NearestNeighbors(n_neighbors=1).fit(components)
        distances = self._to_train(cells["held_out"])
        self.threshold = float(np.quantile(distances, quantile))
        """Smallest distance that is kept, of types without one of their own."""
        # Distances by matrix products are exact to about 1e-7 of the spread.
        if self.threshold <= 1e-5 * np.sqrt(components.var(axis=0).sum()):
            msg = f"a share of {quantile} or more of held_out is found in train: give real cells that the generator has not seen."
            raise ValueError(msg)
        self.thresholds: dict[str, float] = {}
        """Type -> smallest distance that is kept."""
        if labels_key is not None:
            types, n_cells = np.unique(cells["held_out"].types, return_counts=True)
            for name in types[n_cells >= least]:
                own = distances[cells["held_out"].types == name]
                self.thresholds[str(name)] = float(np.quantile(own, quantile))

    def _to_train(self, cells: Cells) -> np.ndarray:
        return self._neighbors.kneighbors(self._space.project(cells))[0].ravel()

    def distances(self, cells: AnnData, *, layer: str | None = None) -> np.ndarray:
        """Distance of each cell to its nearest training cell, ``(n_cells,)``.

        Parameters
        ----------
        cells
            Cells x the genes, in any order, of counts.
        layer
            Layer of the counts; ``X`` by default.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they are no AnnData of counts of these genes.
        """
        return self._to_train(self._read(cells, layer))

    def refuses(self, cells: AnnData, *, layer: str | None = None) -> np.ndarray:
        """Which cells are too close, boolean, ``(n_cells,)``.

        Parameters
        ----------
        cells
            Cells x the genes, in any order, of counts; with the types in ``obs[labels_key]`` if that was given.
        layer
            Layer of the counts; ``X`` by default.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they are no AnnData of counts of these genes, or have no types.
        """
        read = self._read(cells, layer)
        return self._to_train(read) < self._limits(read.labels, len(read))

    def refuses_counts(self, counts: csr_matrix, labels: np.ndarray) -> np.ndarray:
        """As :meth:`refuses`, of checked counts of the genes in their order, and types as strings."""
        cells = Cells(log_normalize(counts), counts, labels)
        return self._to_train(cells) < self._limits(labels, len(cells))

    def _read(self, cells: AnnData, layer: str | None) -> Cells:
        check_sets({"cells": cells}, self.labels_key, layer)
        check_genes("cells", cells.var_names, "train", self.genes)
        sets = {"cells": cells[:, self.genes]}
        return read_cells(sets, labels_key=self.labels_key, layer=layer, normalized=False)["cells"]

    def _limits(self, labels: np.ndarray | None, n_cells: int) -> np.ndarray:
        limits = np.full(n_cells, self.threshold)
        if labels is not None:
            for name, threshold in self.thresholds.items():
                limits[labels == name] = threshold
        return limits


def refuse_close(
    synthetic: AnnData,
    train: AnnData,
    held_out: AnnData,
    *,
    quantile: float = 0.05,
    labels_key: str | None = None,
    layer: str | None = None,
    seed: int = 0,
) -> AnnData:
    """Synthetic cells without those that are closer to a training cell than real held-out cells are.

    Of any generator's cells. The types' proportions change where more of one type than of another is refused;
    :meth:`activa.ACTIVA.generate` with ``refuse`` draws others in their place. What this protects from, and what not,
    :class:`TooClose` says.

    Parameters
    ----------
    synthetic
        Generated cells with the genes of ``train``, in any order: counts.
    train, held_out, quantile, labels_key, layer, seed
        As for :class:`TooClose`; ``labels_key`` and ``layer`` are those of ``synthetic`` too.

    Returns
    -------
    A copy of ``synthetic`` with the cells that are kept.

    Raises
    ------
    KeyError, TypeError
        As for :class:`TooClose`.
    ValueError
        As for :class:`TooClose`, or if no cell is kept.

    Examples
    --------
    >>> kept = refuse_close(synthetic, train, held_out, labels_key="cell_type")  # doctest: +SKIP
    >>> 1 - kept.n_obs / synthetic.n_obs  # share that was refused  # doctest: +SKIP
    """
    check_sets({"train": train, "held_out": held_out, "synthetic": synthetic}, labels_key, layer)
    too_close = TooClose(train, held_out, quantile=quantile, labels_key=labels_key, layer=layer, seed=seed)
    refused = too_close.refuses(synthetic, layer=layer)
    if refused.all():
        msg = (
            f"all {len(refused)} synthetic cells are closer to a training cell than all but a share of {quantile} of held_out "
            "are: the generator copies."
        )
        raise ValueError(msg)
    return synthetic[~refused].copy()
