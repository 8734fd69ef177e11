"""Networks, prior, library-size model, and the module that joins them."""

from ._design import CellDesign
from ._library import LibrarySize
from ._likelihood import log_likelihood, sample_cells, sample_cells_with_gradient
from ._module import ACTIVAModule
from ._networks import Classifier, Encoder, Generator
from ._prior import LabelledPrior, StandardPrior

__all__ = [
    "ACTIVAModule",
    "CellDesign",
    "Classifier",
    "Encoder",
    "Generator",
    "LabelledPrior",
    "LibrarySize",
    "StandardPrior",
    "log_likelihood",
    "sample_cells",
    "sample_cells_with_gradient",
]
