"""The networks, the prior, the likelihoods, and the module that joins them."""

from activa.module.activa_module import ACTIVAModule as ACTIVAModule
from activa.module.cell_model import CellModel as CellModel
from activa.module.cell_model import ComponentsStart as ComponentsStart
from activa.module.cell_model import Condition as Condition
from activa.module.likelihood import OutlierNegativeBinomial as OutlierNegativeBinomial
from activa.module.likelihood import log_likelihood as log_likelihood
from activa.module.networks import Classifier as Classifier
from activa.module.networks import Encoder as Encoder
from activa.module.networks import Generator as Generator
from activa.module.prior import LabeledPrior as LabeledPrior
from activa.module.prior import LibrarySize as LibrarySize
from activa.module.prior import StandardPrior as StandardPrior
from activa.module.proteins import ProteinModel as ProteinModel
from activa.module.quality import CellQuality as CellQuality
from activa.module.quality import Quality as Quality
from activa.module.quality import cell_facts as cell_facts
from activa.module.sampling import MAX_RATE as MAX_RATE
from activa.module.sampling import draw_counts as draw_counts
from activa.module.sampling import sample_cells as sample_cells
from activa.module.sampling import sample_cells_with_gradient as sample_cells_with_gradient
from activa.module.sampling import sample_with_change as sample_with_change
from activa.module.surgery import Categories as Categories
from activa.module.surgery import categories as categories
from activa.module.surgery import extend as extend
from activa.module.surgery import frozen_but_new as frozen_but_new
