"""The networks, the prior, the likelihoods, and the module that joins them."""

from .activa_module import ACTIVAModule
from .cell_model import CellModel
from .condition import ComponentsStart, Condition
from .library_size import LibrarySize
from .likelihood import CellDistribution, OutlierNegativeBinomial, log_likelihood
from .networks import Classifier, Encoder, Generator
from .prior import LabeledPrior, StandardPrior
from .proteins import ProteinModel
from .sampling import MAX_RATE, draw_counts, sample_cells, sample_cells_with_gradient
from .surgery import Categories, categories, extend, frozen_but_new

__all__ = [
    "ACTIVAModule",
    "Categories",
    "CellDistribution",
    "CellModel",
    "Classifier",
    "ComponentsStart",
    "Condition",
    "Encoder",
    "Generator",
    "LabeledPrior",
    "LibrarySize",
    "MAX_RATE",
    "OutlierNegativeBinomial",
    "ProteinModel",
    "StandardPrior",
    "categories",
    "draw_counts",
    "extend",
    "frozen_but_new",
    "log_likelihood",
    "sample_cells",
    "sample_cells_with_gradient",
]
