"""A run's key: the same for two runs exactly when they must give the same result."""

import json
from hashlib import sha256

from workbench import __version__
from workbench.config import RunSpec

NOT_RESULT = ("certificate", "tracking", "sweep")


def run_key(spec: RunSpec, data_digest: str) -> str:
    """16 hexadecimal digits over the configuration, the data's content and the engine's version."""
    relevant = {key: value for key, value in spec.resolved.items() if key not in NOT_RESULT}
    content = json.dumps([relevant, data_digest, __version__], sort_keys=True)
    return sha256(content.encode()).hexdigest()[:16]
