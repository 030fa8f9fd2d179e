"""The experiments that come with the workbench, as modules: ``workbench.experiments.xor.measure``.

In a checkout their folders lie beside the package, in an installed one inside it.
"""

from workbench.config.schema import packaged

__path__ = [str(packaged("experiments"))]
