"""Settings of all tests: shapes in annotations are checked, one thread computes, hypothesis repeats itself exactly.

Imported by each conftest.py before anything of the package.
"""

import gc

from jaxtyping import install_import_hook

gc.set_threshold(50_000, 20, 50)  # a tenth of the tests' time went into looking for garbage

PACKAGES_WITH_SHAPES = [f"workbench.{name}" for name in ("core.axes", "nn", "data", "diagnostics", "engine")]
install_import_hook(PACKAGES_WITH_SHAPES, "beartype.beartype")  # before anything imports them

import torch  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

torch.set_num_threads(1)
# A loaded machine is no failure, so neither deadlines nor the health check of slow draws.
settings.register_profile(
    "workbench", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("workbench")
