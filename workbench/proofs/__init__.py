"""Mathematics that decides claims without training."""

from workbench.proofs import farkas as farkas
from workbench.proofs import regions as regions
from workbench.proofs import separation as separation
