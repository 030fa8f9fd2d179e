"""Options that come with the workbench, and those of a user's folder: their names, and the node of each."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from workbench.config.schema import packaged


def options(group: str, folder: Path | None = None) -> list[str]:
    """Names of a group's options that come with the workbench, or that a folder holds."""
    return sorted(file.stem for file in ((folder or packaged("conf")) / group).glob("*.yaml"))


def option(group: str, name: str, folder: Path | None = None) -> dict[str, Any]:
    """Node of one option, with the options that it chooses for its parts, as composed without overrides."""
    content: Any = OmegaConf.to_container(OmegaConf.load((folder or packaged("conf")) / group / f"{name}.yaml"))
    node: dict[str, Any] = content.get(group, content)
    for default in node.pop("defaults", []):
        ((slot, inner),) = default.items()
        group_of_part, _, key = slot.lstrip("/").partition("@")
        node[key] = option(group_of_part, inner)
    return node


@lru_cache(maxsize=1)
def usual_options() -> dict[str, str]:
    """Option of each group in a run without overrides."""
    content: Any = OmegaConf.to_container(OmegaConf.load(packaged("conf") / "config.yaml"))
    return {
        group: name for default in content["defaults"] if isinstance(default, dict) for group, name in default.items()
    }
