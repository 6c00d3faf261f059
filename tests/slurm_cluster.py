"""A real SLURM of one node, started and stopped by tests, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# Else a task that is handed in again waits for two minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1
KillWait=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=1000 Gres=gpu:2 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def lacking() -> str:
    """Why no SLURM can be started here; empty if one can."""
    missing = [name for name in PROGRAMS if _program(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: slurm-wlm, munge)"
    return "" if os.geteuid() == 0 else "SLURM's daemons want to be started by root"


@contextmanager
def slurm() -> Iterator[None]:
    """SLURM_CONF names a cluster that works; it ends with the block.

    Skips where there is none, and fails where REFBENCH_NEEDS_SLURM is set.
    """
    if reason := lacking():
        (pytest.fail if os.environ.get("REFBENCH_NEEDS_SLURM") else pytest.skip)(reason)
    folder = Path(tempfile.mkdtemp(prefix="refbench-slurm-"))
    folder.chmod(0o755)  # munge wants everybody to reach its socket
    try:
        _configure(folder)
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        _start("munged", *(f"--{what}-file={folder}/munge.{what}" for what in ("key", "pid", "log", "seed")),
               f"--socket={folder}/munge.socket")  # fmt: skip
        _start("slurmctld")
        _start("slurmd")
        _wait_for("idle", folder)
        yield
        subprocess.run(["scancel", "--user", "root"], check=False)
    finally:
        for name in ("slurmd", "slurmctld", "munge"):
            _stop(folder / f"{name}.pid")
        os.environ.pop("SLURM_CONF", None)
        shutil.rmtree(folder, ignore_errors=True)


def queue() -> dict[str, str]:
    """State of every task by its number."""
    listed = subprocess.run(["squeue", "--noheader", "--array", "--format", "%i %T"], capture_output=True, text=True)
    return dict(line.split() for line in listed.stdout.splitlines())


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _configure(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], other.getsockname()[1]
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder, host=host, ports=ports))
    for card in ("card0", "card1"):  # plain files do for counting
        (folder / card).touch()
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/card[0-1]\n")
    _start("mungekey", "--create", f"--keyfile={folder}/munge.key")


def _start(name: str, *arguments: str) -> None:
    program = _program(name)
    assert program is not None
    done = subprocess.run([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"{name}: {done.stderr}"


def _wait_for(state: str, folder: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        told = subprocess.run(["sinfo", "--noheader", "--format", "%T"], capture_output=True, text=True)
        if told.stdout.strip() == state:
            return
        logs = [(folder / f"{name}.log").read_text()[-1000:] for name in ("slurmctld", "slurmd")]
        assert time.monotonic() < deadline, "\n".join([told.stdout, told.stderr, *logs])
        time.sleep(0.1)


def _stop(file: Path) -> None:
    try:
        process = int(file.read_text())
        os.kill(process, 15)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            os.kill(process, 0)
            time.sleep(0.05)
        os.kill(process, 9)
    except (OSError, ValueError):
        return  # it never began, or has ended
