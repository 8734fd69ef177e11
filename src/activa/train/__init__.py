"""The training plan, its games between encoder and generator, and the runner."""

from activa.losses import softadapt_weights as softadapt_weights
from activa.train.calibration import calibrate as calibrate
from activa.train.game import Game as Game
from activa.train.game import Hinge as Hinge
from activa.train.game import Soft as Soft
from activa.train.game import SyntheticCells as SyntheticCells
from activa.train.plan import IntrospectivePlan as IntrospectivePlan
from activa.train.realism import RealismCallback as RealismCallback
from activa.train.realism import RealismMetric as RealismMetric
from activa.train.recipe import PAPER_EPOCHS as PAPER_EPOCHS
from activa.train.recipe import PAPER_RECIPE as PAPER_RECIPE
from activa.train.recipe import Recipe as Recipe
from activa.train.recipe import ReduceOnPlateau as ReduceOnPlateau
from activa.train.runner import ExplodedLossError as ExplodedLossError
from activa.train.runner import Guard as Guard
from activa.train.runner import InterruptibleTrainRunner as InterruptibleTrainRunner
from activa.train.runner import KeepResumePoint as KeepResumePoint
from activa.train.runner import NonFiniteLossError as NonFiniteLossError
