"""The settings of a training run: each is named, typed, bounded and documented here, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from activa.arguments import check_choices, check_integers, check_numbers
from activa.train.game import Game, Hinge, Soft, use_own_numbers

LRSchedule = Literal["one-cycle", "constant"]
PlateauMetric = Literal["elbo_validation", "reconstruction_loss_validation", "kl_local_validation"]

_GAMES: dict[str, type[Game]] = {"hinge": Hinge, "soft": Soft}


# arguments of scvi-tools' TrainingPlan that this plan has no use for
_ELSEWHERE = {
    **dict.fromkeys(("optimizer", "optimizer_creator", "fused_optimizer", "eps", "update_only_decoder"),
                    "encoder, generator and classifier have an Adam each"),
    **dict.fromkeys(("compile", "compile_kwargs"), "the likelihood is compiled already, and steps are too short for more"),
    **dict.fromkeys(("on_step", "on_epoch"), "losses are logged by epoch"),
}  # fmt: skip


@dataclass(frozen=True)
class ReduceOnPlateau:
    """Learning rates fall when a validation loss no longer does, as with ``reduce_lr_on_plateau`` in scvi-tools.

    Parameters
    ----------
    factor, patience, threshold, min_lr
        What rates are multiplied by, after more epochs than ``patience`` in which the loss was not below its lowest value by
        ``threshold``; and what they do not fall below.
    metric
        The validation loss.

    Examples
    --------
    >>> Recipe(lr_schedule=ReduceOnPlateau(patience=8)).lr_schedule.factor
    0.6
    """

    factor: float = 0.6
    patience: int = 30
    threshold: float = 0.0
    min_lr: float = 0.0
    metric: PlateauMetric = "elbo_validation"

    def __post_init__(self) -> None:
        check_numbers(factor=self.factor, above=0, below=1)
        check_numbers(threshold=self.threshold, min_lr=self.min_lr, least=0)
        check_integers(patience=self.patience, least=0)
        check_choices(metric=(self.metric, PlateauMetric))


# how scvi-tools names its fields
_PLATEAU = {"lr_factor": "factor", "lr_patience": "patience", "lr_threshold": "threshold", "lr_min": "min_lr"} | {
    "lr_scheduler_metric": "metric"
}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; a wrong value raises a TypeError or ValueError.

    :meth:`activa.ACTIVA.train` takes the game as ``game`` and the other fields as ``plan_kwargs``.

    Parameters
    ----------
    game
        Game between encoder and generator, :class:`Hinge` or :class:`Soft`. None trains a plain VAE, whose cells are the
        hardest to tell from real ones; a game takes up to twice the time.
    lr
        Highest learning rate of encoder and generator. The dispersion, the prior and a log-linear generator (except its
        curved part) learn ten times faster: otherwise they are far from their optimum when the networks have reached
        theirs, and generated cells are easily told from real ones.
    lr_schedule, lr_classifier
        ``"one-cycle"`` rises to ``lr`` and falls to zero; ``"constant"`` is the paper's; or a :class:`ReduceOnPlateau`.
        Learning rate of the classifier, multiplied by 0.95 every 1,000 steps (ACTINN).
    n_epochs_kl_warmup, n_steps_kl_warmup, min_kl_weight, max_kl_weight
        Epochs, or minibatches, in which the weight of ``L_REG`` rises from the one to the other weight. Both None: a tenth
        of all epochs.
    weight_decay
        Factor of the penalty that Adam adds for all weights.
    gradient_clip
        Largest norm of the gradient of each of encoder, generator and classifier. None: no clipping.

    Examples
    --------
    >>> Recipe(lr=1e-3).lr
    0.001
    """

    game: Game | None = None
    lr: float = 2e-3
    lr_schedule: LRSchedule | ReduceOnPlateau = "one-cycle"
    lr_classifier: float = 1e-3
    n_epochs_kl_warmup: int | None = None
    n_steps_kl_warmup: int | None = None
    min_kl_weight: float = 0.0
    max_kl_weight: float = 1.0
    weight_decay: float = 0.0
    gradient_clip: float | None = 100.0

    def __post_init__(self) -> None:
        if self.game is not None and not isinstance(self.game, Game):
            raise TypeError(f"game must be a game, such as Hinge() or Soft() of activa.train, got {self.game!r}.")
        if not isinstance(self.lr_schedule, ReduceOnPlateau):
            check_choices(lr_schedule=(self.lr_schedule, LRSchedule))
        check_numbers(lr=self.lr, lr_classifier=self.lr_classifier, above=0)
        check_numbers(gradient_clip=self.gradient_clip, above=0, optional=True)
        warmups = {"n_epochs_kl_warmup": self.n_epochs_kl_warmup, "n_steps_kl_warmup": self.n_steps_kl_warmup}
        check_integers(**warmups, least=0, optional=True)
        check_numbers(min_kl_weight=self.min_kl_weight, max_kl_weight=self.max_kl_weight, least=0)
        check_numbers(weight_decay=self.weight_decay, least=0)
        if self.min_kl_weight > self.max_kl_weight:
            given = f"{self.min_kl_weight} and {self.max_kl_weight}"
            raise ValueError(f"min_kl_weight must be at most max_kl_weight, got {given}.")
        kinds = {"min_kl_weight": float, "max_kl_weight": float, "weight_decay": float} | dict.fromkeys(warmups, int)
        use_own_numbers(self, lr=float, lr_classifier=float, gradient_clip=float, **kinds)

    @classmethod
    def of(
        cls, plan_kwargs: Mapping[str, Any] | None = None, game: Game | None = None, *, defaults: Recipe | None = None
    ) -> Recipe:
        """A recipe from the arguments of :meth:`activa.ACTIVA.train`; what is not given is that of ``defaults``."""
        given = {} if plan_kwargs is None else plan_kwargs
        if not isinstance(given, Mapping):
            raise TypeError(f"plan_kwargs must map fields of activa.train.Recipe to values, got {given!r}.")
        if "game" in given:
            raise TypeError("plan_kwargs has no field 'game': give train(game=...).")
        given = _on_plateau(given)
        known = [field.name for field in fields(cls) if field.name != "game"]
        if unknown := [name for name in given if name not in known]:
            if unknown[0] in _ELSEWHERE:
                raise TypeError(
                    f"plan_kwargs has no field {unknown[0]!r}, because {_ELSEWHERE[unknown[0]]}: leave it out."
                )
            raise TypeError(f"plan_kwargs has no field {unknown[0]!r}: choose from {known}.")
        defaults = cls() if defaults is None else defaults
        return replace(defaults, game=defaults.game if game is None else game, **given)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for JSON; the game, a :class:`Hinge` or :class:`Soft`, as ``{"hinge": {...}}``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if isinstance(self.lr_schedule, ReduceOnPlateau):
            values["lr_schedule"] = asdict(self.lr_schedule)
        if self.game is None:
            return values
        names = [name for name, cls in _GAMES.items() if type(self.game) is cls]
        if not names:
            raise TypeError(f"game must be of one of the classes {sorted(_GAMES)} to be written, got {self.game!r}.")
        game: Any = self.game
        options = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(game).items()}
        return values | {"game": {names[0]: options}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that :meth:`to_dict` wrote."""
        if not isinstance(values, Mapping):
            raise TypeError(f"A recipe must map its fields to values, got {values!r}.")
        game, rest = values.get("game"), {name: value for name, value in values.items() if name != "game"}
        if isinstance(schedule := rest.get("lr_schedule"), Mapping):
            rest["lr_schedule"] = ReduceOnPlateau(**schedule)
        if game is None:
            return cls.of(rest)
        if not isinstance(game, Mapping) or len(game) != 1 or not set(game) <= set(_GAMES):
            raise ValueError(f"game must map one of {sorted(_GAMES)} to its options, got {game!r}.")
        ((name, options),) = game.items()
        known = [field.name for field in fields(_GAMES[name])]  # type: ignore[arg-type]
        if not isinstance(options, Mapping) or not set(options) <= set(known):
            raise TypeError(f"game {name!r} must map options among {known} to values, got {options!r}.")
        return cls.of(rest, _GAMES[name](**options))


def _on_plateau(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with scvi-tools' ``reduce_lr_on_plateau`` and its options as a schedule; without it they have no effect."""
    rest = {name: value for name, value in given.items() if name != "reduce_lr_on_plateau" and name not in _PLATEAU}
    if not given.get("reduce_lr_on_plateau", False):
        return rest
    if "lr_schedule" in rest:
        raise ValueError("plan_kwargs has lr_schedule and reduce_lr_on_plateau, which is one: leave one out.")
    return rest | {
        "lr_schedule": ReduceOnPlateau(**{_PLATEAU[name]: given[name] for name in given if name in _PLATEAU})
    }


# the paper trains for 10 epochs of warm-up and 600 of the game (Heydari et al. 2022, supplement H)
PAPER_EPOCHS = 610
PAPER_RECIPE = Recipe(
    game=Hinge(margin=110.0, n_epochs_warmup=10),
    lr=2e-4,
    lr_schedule="constant",
    lr_classifier=1e-4,
    n_epochs_kl_warmup=0,
    gradient_clip=None,
)
