"""Clusters do not depend on the user's settings of Dask."""

import json
import os
import subprocess
import sys

import dask
import pytest

from mixjobs.cluster import connect
from mixjobs.cluster.settings import default_settings
from mixjobs.cluster.slurm import job_script
from mixjobs.config.cluster import ClusterConfig
from mixjobs.errors import InvalidInput, UnreadableFile

# Settings that break a cluster, or change what it does.
BAD = """
temporary-directory: /proc/nowhere
distributed:
  worker:
    preload: [no_such_module]
    memory: {target: much, terminate: 0.0001}
    resources: {GPU: 1}
    multiprocessing-method: teleport
  nanny: {preload: [no_such_file.py], environ: {OMP_NUM_THREADS: many}}
  scheduler: {preload: [nothing], worker-ttl: soon}
  dashboard: {link: "/user/{JUPYTERHUB_USER}/proxy/{port}/status"}
  comm:
    default-scheme: ucx
    require-encryption: true
    timeouts: {connect: never}
    tls: {ca-file: /missing.pem, worker: {cert: /missing.pem, key: /missing.pem}}
  logging: {distributed.worker: debug, distributed.nanny: debug, distributed.core: debug}
"""
VARIABLES = {
    "DASK_DISTRIBUTED__COMM__OFFLOAD": "a lot",  # read when Dask is imported
    "DASK_SCHEDULER_ADDRESS": "tcp://192.0.2.1:8786",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "never",
}


def run(program, home, content=BAD, **env):
    """Run a program with settings in a home folder; return its last lines of output and errors."""
    (home / ".config" / "dask").mkdir(parents=True)
    (home / ".config" / "dask" / "site.yaml").write_text(content)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=200,
        env=clean | {"HOME": str(home)} | env,
    )  # fmt: skip
    return done.stdout.strip().rpartition("\n")[2], done.stderr


LOCAL = """
import operator
from mixjobs.cluster import connect
from mixjobs.config.cluster import ClusterConfig
if __name__ == "__main__":
    with connect(ClusterConfig(workers=1)) as client:
        print(client.submit(operator.add, 1, 2).result(), client.dashboard_link[:17])
"""
IMPORT = """
import os
from mixjobs.errors import MixjobsError
try:
    import mixjobs.cluster
    print("imported")
except MixjobsError as error:
    print(type(error).__name__, error.path and os.path.basename(error.path))
"""


@pytest.mark.slow
def test_a_cluster_on_this_machine_starts_whatever_the_settings(tmp_path):
    path = tmp_path / "local.py"
    path.write_text(LOCAL)
    program = f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')"
    assert run(program, tmp_path, **VARIABLES) == ("3 http://127.0.0.1:", "")


@pytest.mark.parametrize(
    ("content", "env", "ends"),
    [
        ("a: [", {}, "UnreadableFile site.yaml"),
        ("- 1", {}, "UnreadableFile site.yaml"),
        ("logging: {version: 9}", {}, "UnreadableFile None"),
        ("distributed:", {"DASK_DISTRIBUTED": "5", "DASK_DISTRIBUTED__ADMIN": "6"}, "imported"),
        ("ucx: {tcp: true}", {"DASK_INTERNAL_INHERIT_CONFIG": "garbage"}, "imported"),
    ],
)
def test_settings_that_dask_cannot_read(content, env, ends, tmp_path):
    assert run(IMPORT, tmp_path, content, **env) == (ends, "")


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(dask.config, "paths", [str(tmp_path)])
    return tmp_path


@pytest.mark.parametrize(
    ("content", "name"),
    [("distributed: {comm: {offload: {a: 1}}}", "distributed.comm.offload"),
     ("distributed: {worker: {memory: 5}}", "distributed.worker.memory"),
     ("temporary_directory: {a: 1}", "temporary-directory")],
)  # fmt: skip
def test_a_file_whose_values_would_reach_the_workers_is_refused(content, name, paths):
    (paths / "site.yaml").write_text(content)
    with pytest.raises(UnreadableFile) as refused, connect(ClusterConfig(workers=1)):
        pass
    assert (refused.value.path, refused.value.name) == (str(paths / "site.yaml"), name)


def test_settings_come_back_at_the_end(paths, monkeypatch):
    monkeypatch.setenv("DASK_FOO", "1")
    users = {"distributed.worker.preload": ["mine"], "foo": 1, "temporary-directory": "/scratch"}
    with dask.config.set(users):
        before = json.dumps(dask.config.config, default=str)
        with default_settings({"distributed.scheduler.allowed-failures": 7}):
            assert dask.config.get("distributed.worker.preload") == []
            assert dask.config.get("temporary-directory") is None
            assert dask.config.get("foo", None) is None
            assert dask.config.get("distributed.scheduler.allowed-failures") == 7
            assert "DASK_FOO" not in os.environ
            inherited = dask.config.collect([], os.environ)  # as in a process started now
            assert inherited["distributed"]["scheduler"]["allowed-failures"] == 7
        assert json.dumps(dask.config.config, default=str) == before
        assert os.environ["DASK_FOO"] == "1"


def test_settings_of_a_user_who_names_a_scheduler():
    with (
        dask.config.set({"distributed": 5}),
        pytest.raises(InvalidInput) as refused,
        connect(ClusterConfig(kind="address", scheduler="tcp://127.0.0.1:9")),
    ):
        pass
    assert refused.value.name == "scheduler"


def test_the_script_of_a_slurm_job_has_only_our_settings():
    """The user's `jobqueue.yaml` has no effect."""
    config = ClusterConfig(kind="slurm", workers=2, memory="2GB", walltime="00:30:00")
    expected = job_script(config)
    users = {
        "python": "/evil/python", "interface": "evil0", "cores": 99, "processes": 7,
        "memory": "1TB", "queue": "evil", "account": "evil", "project": "evil",
        "walltime": "99:00:00", "job-extra-directives": ["--evil"], "job-directives-skip": ["-n"],
        "job-script-prologue": ["evil"], "job-script-epilogue": ["evil"], "job-cpu": 7,
        "job-mem": "7GB", "shebang": "#!/evil", "worker-command": "evil", "nanny": False,
        "worker-extra-args": ["--evil"], "local-directory": "/evil", "death-timeout": 1,
        "log-directory": "/evil", "shared-temp-directory": "/evil",
    }  # fmt: skip
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in users.items()}):
        assert job_script(config) == expected
    assert "#SBATCH -t 00:30:00" in expected


def test_the_script_of_a_slurm_job_leaves_ctrl_c_alone():
    """The import of dask-jobqueue would make it end the process silently."""
    program = (
        "import signal; from mixjobs.cluster.slurm import job_script; "
        "from mixjobs.config.cluster import ClusterConfig; "
        "job_script(ClusterConfig(kind='slurm')); "
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
