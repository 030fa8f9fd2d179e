"""Mathematics that decides claims without training."""

from workbench.exact import annuli as annuli
from workbench.exact import approximation as approximation
from workbench.exact import backpropagation as backpropagation
from workbench.exact import built as built
from workbench.exact import decisions as decisions
from workbench.exact import farkas as farkas
from workbench.exact import fitted as fitted
from workbench.exact import gradients as gradients
from workbench.exact import greedy as greedy
from workbench.exact import identities as identities
from workbench.exact import lines as lines
from workbench.exact import maxout as maxout
from workbench.exact import misprinted as misprinted
from workbench.exact import polynomials as polynomials
from workbench.exact import regions as regions
from workbench.exact import separation as separation
