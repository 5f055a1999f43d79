"""A real Slurm of two nodes on this machine, for as long as a ``with`` block lasts."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# The programs that are needed, and the Debian packages they are in.
PACKAGES = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
}
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE"}

# No cgroups and no accounting. The nodes' CPUs and memory are taken at their word
# (config_overrides). A requeued job starts again no sooner than cred_expire.
CONFIGURATION = """\
ClusterName=mixjobs
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
SlurmdTimeout=60
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=3600
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=64000
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=64000
PartitionName=all Nodes=node[1-2] Default=YES
"""


@dataclass(frozen=True)
class Slurm:
    """A running Slurm: jobs are submitted from `folder`, where their output goes by default."""

    folder: Path
    env: dict[str, str]

    def run(self, *command: str | Path, **env: str) -> str:
        """Output of a command such as ``squeue``; raises where it fails."""
        done = subprocess.run(
            command,
            env=self.env | env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def submit(self, *command: str | Path, **env: str) -> str:
        """Submit a script and its arguments (options of sbatch may stand before it)."""
        return self.run("sbatch", "--parsable", *command, **env)

    def state(self, job: str) -> str:
        return self._shown(job, r"JobState=(\w+)")

    def exit_code(self, job: str) -> int:
        """Exit code of a job that has ended, or minus the signal that ended it."""
        code, killed_by = self._shown(job, r"ExitCode=(\d+:\d+)").split(":")
        return int(code) or -int(killed_by)

    def output(self, job: str) -> str:
        path = Path(self._shown(job, r"StdOut=(.*)"))
        return path.read_text() if path.is_file() else ""

    def wait_for(self, job: str, *states: str, timeout: float = 30) -> str:
        """Wait until a job is in one of these states; raise when it ends in another one."""
        end = time.monotonic() + timeout
        while (state := self.state(job)) not in states:
            if state in ENDED or time.monotonic() > end:
                shown = self.run("scontrol", "show", "job", job)
                raise AssertionError(
                    f"job {job}: {state}, not {states}\n{shown}\n{self.output(job)}"
                )
            time.sleep(0.1)
        return state

    def jobs(self) -> list[str]:
        """Jobs that have not ended, those that are just ending included."""
        return self.run("squeue", "--noheader", "--format=%A").split()

    def cancel(self, job: str, signal: str | None = None, batch: bool = False) -> None:
        """Cancel a job, or send a signal to its steps or (`batch`) its batch shell alone."""
        options = [f"--signal={signal}"] if signal else []
        self.run("scancel", *options, *["--batch"] * batch, job)

    def requeue(self, job: str) -> None:
        self.run("scontrol", "requeue", job)

    def clear(self) -> None:
        """Cancel all jobs and wait until they are gone."""
        self.run("scancel", f"--user={os.getuid()}")
        wait_until(lambda: not self.jobs(), lambda: self.run("squeue"))

    def processes(self) -> dict[int, str]:
        """Processes of jobs that are alive (slurmstepd too): their command lines by their ids."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended, or is another user's
                command = (process / "cmdline").read_bytes().decode(errors="replace")
                environ = (process / "environ").read_bytes().decode(errors="replace").split("\0")
                in_job = any(word.startswith("SLURM_JOB_ID=") for word in environ)
                mine = f"SLURM_CONF={self.env['SLURM_CONF']}" in environ
                step = command.startswith("slurmstepd") and (process / "cwd").readlink()
                if (in_job and mine) or step == self.folder:
                    found[int(process.name)] = command.replace("\0", " ")
        return found

    def _shown(self, job: str, pattern: str) -> str:
        found = re.search(pattern, self.run("scontrol", "show", "job", job))
        assert found, f"scontrol shows no {pattern} of job {job}"
        return found[1]


@contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """Start munged, slurmctld and two slurmd in a folder; stop them and what their jobs left."""
    folder = folder.resolve()
    slurm = _configured(folder)
    munged = ["munged", "--foreground", "--force", *_munge_files(folder)]
    with ExitStack() as stack:
        stack.callback(_kill_left_over, slurm)
        _start(stack, slurm, "munged", *munged)
        wait_until((folder / "munge.socket").exists, lambda: _logs(folder))
        _start(stack, slurm, "slurmctld", "slurmctld", "-D")
        for node in ("node1", "node2"):
            _start(stack, slurm, node, "slurmd", "-D", "-N", node)
        wait_until(lambda: _idle_nodes(slurm) == 2, lambda: _logs(folder))
        stack.callback(slurm.clear)
        yield slurm


def _configured(folder: Path) -> Slurm:
    host = socket.gethostname().split(".")[0]
    text = CONFIGURATION.format(folder=folder, host=host, user=os.getuid(), ports=_free_ports(3))
    (folder / "slurm.conf").write_text(text)
    (folder / "munge.key").touch(mode=0o600)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    for name in ("state", "node1", "node2"):
        (folder / name).mkdir()
    # Nothing of a Slurm that the tests themselves may run under.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH", "SRUN"))}
    return Slurm(folder, env | {"PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")})


def _munge_files(folder: Path) -> list[str]:
    names = {"socket": "socket", "key-file": "key", "pid-file": "pid", "seed-file": "seed"}
    return [f"--{option}={folder}/munge.{name}" for option, name in names.items()]


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _start(stack: ExitStack, slurm: Slurm, name: str, *command: str) -> None:
    """Start a daemon in a session of its own (Ctrl-C is for pytest), to be stopped by the stack."""
    with (slurm.folder / f"{name}.out").open("wb") as out:
        process = subprocess.Popen(
            command,
            env=slurm.env,
            cwd=slurm.folder,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    stack.callback(_stop, process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _kill_left_over(slurm: Slurm) -> None:
    for process in slurm.processes():
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def wait_until(
    condition: Callable[[], bool], complaint: Callable[[], str], timeout: float = 30
) -> None:
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(complaint())
        time.sleep(0.1)


def _idle_nodes(slurm: Slurm) -> int:
    try:
        return slurm.run("sinfo", "--noheader", "--Node", "--format=%T").split().count("idle")
    except RuntimeError:  # slurmctld does not answer yet
        return 0


def _logs(folder: Path) -> str:
    return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in folder.glob("*.out"))
