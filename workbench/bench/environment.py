"""Hardware and versions that figures depend on."""

import platform
from pathlib import Path

import torch


def environment() -> dict[str, str]:
    """Hardware and versions that the figures depend on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return {"device": device, "torch": torch.__version__, "python": platform.python_version(), "threads": "1"}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
