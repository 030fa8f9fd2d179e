"""A SLURM cluster of one node on loopback, all of it in one folder: munge, the controller and the node's daemon."""

import getpass
import os
import platform
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.outer import wait_for

DAEMONS = ("munged", "slurmctld", "slurmd")
PATH = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2048 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The daemons that are not installed here."""
    return [daemon for daemon in DAEMONS if shutil.which(daemon, path=PATH) is None]


@contextmanager
def slurm() -> Iterator[dict[str, str]]:
    """The environment in which SLURM's commands find the cluster, which is ended in the end."""
    with TemporaryDirectory(prefix="slurm", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        host = platform.node().partition(".")[0]
        settings = {
            "host": host,
            "ports": _ports(),
            "folder": folder,
            "user": getpass.getuser(),
            "cpus": os.cpu_count(),
        }
        for part in ("state", "spool"):
            (folder / part).mkdir()
        (folder / "slurm.conf").write_text(CONFIGURATION.format(**settings))
        (folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (folder / "munge.key").chmod(0o400)
        environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}
        started: list[subprocess.Popen[bytes]] = []
        with (folder / "said").open("wb") as said:
            try:
                for command in _commands(folder):
                    daemon = subprocess.Popen(
                        command, env={**os.environ, **environment}, stdout=said, stderr=said, start_new_session=True
                    )
                    started.append(daemon)
                    wait_for(lambda folder=folder: (folder / "munge.socket").exists())
                wait_for(lambda: "idle" in _asked(environment, "sinfo", "--noheader", "--format=%T"))
                yield environment
            finally:
                for daemon in reversed(started):
                    daemon.terminate()
                    daemon.wait(timeout=30)


def _commands(folder: Path) -> list[list[str]]:
    """The daemons in the foreground, in the order of their start."""
    munge = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "seed-file": "munge.seed"}
    options = [f"--{option}={folder / file}" for option, file in munge.items()]
    return [
        ["munged", "--foreground", "--force", f"--log-file={folder / 'munge.log'}", *options],
        ["slurmctld", "-D"],
        ["slurmd", "-D"],
    ]


def _asked(environment: dict[str, str], *command: str) -> str:
    asked = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=30)
    return asked.stdout


def _ports() -> list[int]:
    """Two ports that nobody listens on."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in (one, other)]
