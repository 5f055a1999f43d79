"""Stores do not depend on the user's settings of Zarr."""

import os
import subprocess
import sys
from threading import Barrier, Thread

import pytest
import zarr

import mixjobs
from mixjobs.store.zarr_settings import default_settings

USERS = {
    "default_zarr_format": 2,
    "array.order": "F",
    "array.write_empty_chunks": "perhaps",
    "async.concurrency": "many",
    "json_indent": "wide",
    "codec_pipeline.path": "no.such.Pipeline",
    "codecs.bytes": "no.such.Codec",
    "buffer": "no.such.Buffer",
}


def build(library, path):
    orders = mixjobs.Orders.from_edges([5008, 5011, 5014])
    emulator = mixjobs.EmulatorSettings(max_rv=20, max_vsini=20, min_resolution=30_000)
    return mixjobs.build(library, orders, path, emulator=emulator)


def contents(path):
    files = [file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json"]
    assert files
    return {file.relative_to(path): file.read_bytes() for file in files}


def test_a_store_is_the_same_whatever_the_settings(demo, tmp_path):
    expected = contents(build(demo, tmp_path / "a.zarr").path)
    with zarr.config.set(USERS):
        store = build(demo, tmp_path / "b.zarr")
        assert contents(store.path) == expected
        assert mixjobs.check_store(store.path).broken == []
        assert mixjobs.load_flux_ratio(store.path)([5700, 4.2, -0.1], [5900, 4.4, -0.2]).all()
        assert zarr.config.get("array.order") == "F"
    assert store.to_xarray()["mean_flux"].attrs == {}


def test_the_settings_of_the_user_come_back_when_the_last_thread_leaves():
    inside, leave = Barrier(3), Barrier(2)

    def use(waits):
        with default_settings():
            inside.wait()
            if waits:
                leave.wait()

    with zarr.config.set({"array.order": "F"}):
        threads = [Thread(target=use, args=(waits,)) for waits in (True, False)]
        for thread in threads:
            thread.start()
        inside.wait()
        threads[1].join()
        assert zarr.config.get("array.order") == "C"
        leave.wait()
        threads[0].join()
        assert zarr.config.get("array.order") == "F"


@pytest.mark.parametrize(
    ("content", "env", "ends"),
    [
        ("", {"ZARR_ARRAY__V3_DEFAULT_COMPRESSORS": "x"}, "Store"),  # a setting that was removed
        ("", {"ZARR_ARRAY": "5", "ZARR_ARRAY__ORDER": "C"}, "Store"),
        ("a: [", {}, "UnreadableFile config.yaml"),
        ("- 1", {}, "UnreadableFile config.yaml"),
    ],
)
def test_settings_that_zarr_cannot_read(content, env, ends, tmp_path):
    (tmp_path / ".config" / "zarr").mkdir(parents=True)
    (tmp_path / ".config" / "zarr" / "config.yaml").write_text(content)
    program = """
import os
import mixjobs
try:
    print(mixjobs.Store.__name__)
except mixjobs.MixjobsError as error:
    print(type(error).__name__, os.path.basename(error.path))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True,
        env=os.environ | {"HOME": str(tmp_path)} | env,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (ends, "")
