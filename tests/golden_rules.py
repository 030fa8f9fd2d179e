"""Write tests/golden/claim_rules.json, what is registered of the shipped claims: ``python -m tests.golden_rules``.

Refuses to write another registration over one of the same version: what was decided beforehand stays decided.
"""

import json
import sys
from pathlib import Path

from workbench.claims.catalog import catalog
from workbench.claims.registration import composed, register

FILE = Path(__file__).parent / "golden" / "claim_rules.json"
Rules = dict[str, dict[str, object]]


def shipped() -> Rules:
    """Version and digest of what is registered of every shipped claim."""
    return {
        name: {"version": one.claim.version, "registration": register(one, composed(one)).digest}
        for name, one in sorted(catalog().items())
    }


def changed(kept: Rules, now: Rules) -> list[str]:
    """The claims of which something else is registered under the same version."""
    return [
        name
        for name, rule in now.items()
        if name in kept and rule["version"] == kept[name]["version"] and rule != kept[name]
    ]


def main() -> int:
    """Exit code 1 where a registration changed without a new version."""
    kept: Rules = json.loads(FILE.read_text()) if FILE.exists() else {}
    now = shipped()
    if names := changed(kept, now):
        print(
            f"raise `version` in experiments/{names[0]}/experiment.yaml first: its rule, configurations, data or "
            "measuring code changed",
            file=sys.stderr,
        )
        return 1
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(now, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
