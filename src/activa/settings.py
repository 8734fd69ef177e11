"""The settings of a model: each is named, typed, bounded and documented here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np

from activa.arguments import check_choices, check_integers, check_numbers

GeneLikelihood = Literal["nb-outlier", "nb", "normal", "mse"]
ProteinLikelihood = Literal["nb", "normal"]
Architecture = Literal["log-linear", "deep"]

COUNT_LIKELIHOODS: tuple[GeneLikelihood, ...] = ("nb-outlier", "nb")

_MAX_LAYERS = 64


@dataclass(frozen=True)
class Settings:
    """What a model is made of; a wrong value raises a TypeError or ValueError.

    :class:`~activa.ACTIVA` takes the fields as arguments and keeps them as ``model.settings``.

    Parameters
    ----------
    n_hidden
        Width of each hidden layer of the encoder, or of its one layer. A deep generator has them in reverse.
    n_latent, dropout_rate
        Latent dimensions, by default 16, or a third of the number of types if these are more than 50, up to 128; and
        dropout rate of the encoder's hidden layers.
    gene_likelihood
        ``"nb-outlier"`` (:class:`~activa.module.OutlierNegativeBinomial`) or ``"nb"`` for counts; ``"normal"`` for
        non-negative values such as log-normalized expression; ``"mse"`` for such values with the paper's squared error,
        where a generated cell is its mean.
    protein_likelihood
        Likelihood of the proteins of MuData: ``"nb"`` for counts, ``"normal"`` for values of any sign. None chooses
        the one that fits the values.
    architecture
        ``"log-linear"``: log expression is linear in the latent plus a small curved part, with an offset per type; types
        are inferred from the latent; the prior is a mixture of Gaussians per type; training starts from principal
        components. ``"deep"``, the paper's: hidden layers with batch normalization on both sides, an N(0, I) prior, and
        types assigned by the classifier.

    Examples
    --------
    >>> Settings(n_latent=10).n_latent
    10
    """

    n_hidden: tuple[int, ...] = (128,)
    n_latent: int = 16
    dropout_rate: float = 0.1
    gene_likelihood: GeneLikelihood = "nb-outlier"
    protein_likelihood: ProteinLikelihood | None = None
    architecture: Architecture = "log-linear"

    def __post_init__(self) -> None:
        check_choices(gene_likelihood=(self.gene_likelihood, GeneLikelihood))
        check_choices(architecture=(self.architecture, Architecture))
        if self.protein_likelihood is not None:
            check_choices(protein_likelihood=(self.protein_likelihood, ProteinLikelihood))
        given: Any = self.n_hidden
        widths = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
        if not widths:
            raise ValueError("n_hidden must have at least one width, got ().")
        if len(widths) > _MAX_LAYERS:
            raise ValueError(f"n_hidden must have at most {_MAX_LAYERS} layers, got {len(widths)}.")
        for width in widths:
            check_integers(n_hidden=width)
        check_integers(n_latent=self.n_latent)
        check_numbers(dropout_rate=self.dropout_rate, least=0, below=1)
        # Python's own numbers, which every file format holds
        object.__setattr__(self, "n_hidden", tuple(map(int, widths)))
        object.__setattr__(self, "n_latent", int(self.n_latent))
        object.__setattr__(self, "dropout_rate", float(self.dropout_rate))

    @property
    def is_count(self) -> bool:
        """Whether the gene likelihood describes counts."""
        return self.gene_likelihood in COUNT_LIKELIHOODS

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """Settings from named arguments; a TypeError names an argument that does not exist."""
        known = [field.name for field in fields(cls)]
        if unknown := [name for name in arguments if name not in known]:
            raise TypeError(f"There is no setting {unknown[0]!r}: choose from {known}.")
        return cls(**arguments)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def to_uns(self) -> dict[str, Any]:
        """The settings as h5ad and zarr hold them; those that are None are left out."""
        return {
            name: np.asarray(value) if isinstance(value, list) else value
            for name, value in self.to_dict().items()
            if value is not None
        }


def n_latent_for(n_types: int) -> int:
    """Latent dimensions by default, 16 to 128: in 16 of them 300 types are not told apart.

    >>> n_latent_for(10), n_latent_for(300)
    (16, 100)
    """
    return min(max(Settings.n_latent, n_types // 3), 128)


PAPER = Settings(n_hidden=(1024, 512, 256), n_latent=128, dropout_rate=0.0, gene_likelihood="mse", architecture="deep")
"""The model as published (Heydari et al. 2022, supplement H)."""
