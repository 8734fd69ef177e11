"""The settings of a training run: each is named, typed, bounded and documented here, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from activa.arguments import check_choices, check_integers, check_numbers
from activa.train.game import Game, Hinge, Soft, use_own_numbers

LRSchedule = Literal["one-cycle", "constant"]

_GAMES: dict[str, type[Game]] = {"hinge": Hinge, "soft": Soft}


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
        ``"one-cycle"`` rises to ``lr`` and falls to zero; ``"constant"`` is the paper's. Learning rate of the classifier,
        multiplied by 0.95 every 1,000 steps (ACTINN).
    n_epochs_kl_warmup
        Epochs in which the weight of ``L_REG`` rises from 0 to 1. None: a tenth of all epochs.
    gradient_clip
        Largest norm of the gradient of each of encoder, generator and classifier. None: no clipping.

    Examples
    --------
    >>> Recipe(lr=1e-3).lr
    0.001
    """

    game: Game | None = None
    lr: float = 2e-3
    lr_schedule: LRSchedule = "one-cycle"
    lr_classifier: float = 1e-3
    n_epochs_kl_warmup: int | None = None
    gradient_clip: float | None = 100.0

    def __post_init__(self) -> None:
        if self.game is not None and not isinstance(self.game, Game):
            raise TypeError(f"game must be a game, such as Hinge() or Soft() of activa.train, got {self.game!r}.")
        check_choices(lr_schedule=(self.lr_schedule, LRSchedule))
        check_numbers(lr=self.lr, lr_classifier=self.lr_classifier, above=0)
        check_numbers(gradient_clip=self.gradient_clip, above=0, optional=True)
        check_integers(n_epochs_kl_warmup=self.n_epochs_kl_warmup, least=0, optional=True)
        use_own_numbers(self, lr=float, lr_classifier=float, gradient_clip=float, n_epochs_kl_warmup=int)

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
        known = [field.name for field in fields(cls) if field.name != "game"]
        if unknown := [name for name in given if name not in known]:
            raise TypeError(f"plan_kwargs has no field {unknown[0]!r}: choose from {known}.")
        defaults = cls() if defaults is None else defaults
        return replace(defaults, game=defaults.game if game is None else game, **given)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for JSON; the game, a :class:`Hinge` or :class:`Soft`, as ``{"hinge": {...}}``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
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
        if game is None:
            return cls.of(rest)
        if not isinstance(game, Mapping) or len(game) != 1 or not set(game) <= set(_GAMES):
            raise ValueError(f"game must map one of {sorted(_GAMES)} to its options, got {game!r}.")
        ((name, options),) = game.items()
        known = [field.name for field in fields(_GAMES[name])]  # type: ignore[arg-type]
        if not isinstance(options, Mapping) or not set(options) <= set(known):
            raise TypeError(f"game {name!r} must map options among {known} to values, got {options!r}.")
        return cls.of(rest, _GAMES[name](**options))


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
