"""Networks, prior, library-size model, and the module that joins them."""

from ._design import CellDesign, ComponentsStart
from ._library import LibrarySize
from ._likelihood import log_likelihood
from ._module import ACTIVAModule
from ._networks import Classifier, Encoder, Generator
from ._outliers import OutlierNegativeBinomial
from ._prior import LabeledPrior, StandardPrior
from ._protein import ProteinLikelihood, ProteinModel
from ._sampling import draw_counts, sample_cells, sample_cells_with_gradient

__all__ = [
    "ACTIVAModule",
    "CellDesign",
    "Classifier",
    "ComponentsStart",
    "Encoder",
    "Generator",
    "LabeledPrior",
    "LibrarySize",
    "OutlierNegativeBinomial",
    "ProteinLikelihood",
    "ProteinModel",
    "StandardPrior",
    "log_likelihood",
    "draw_counts",
    "sample_cells",
    "sample_cells_with_gradient",
]
