"""The real tools, with warnings as errors, and runs of tools/train_net.py that a test watches, signals and ends."""

import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import uuid
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

FRESH = [sys.executable, "-W", "error"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
TOOL = ["tools/train_net.py", "--config-file", "projects/XReID/configs/synthetic.yml"]
# Sums of as many threads are rounded alike in all runs.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
MARK = "XREID_TEST_RUN"

# To import everything takes longer than a run of some steps.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["xreid_plugin.engine.command_line"])


def run_tool(name, *arguments):
    return subprocess.run(
        [*FRESH, f"tools/{name}.py", *arguments], capture_output=True, text=True, timeout=600, check=False
    )


class Run:
    """A run in a session of its own, with whatever processes it starts; as a context, it leaves none of them.

    It is a child of a server that has imported what it needs, so that it takes little longer than its steps do, or,
    where ``fresh`` has what a command line begins with, a new interpreter. What it says is kept in the folder.
    """

    def __init__(self, folder, *arguments, fresh=(), environment=None, prepare=None):
        self._mark = uuid.uuid4().hex
        self._logs = [folder / f"{self._mark}.{name}" for name in ("out", "err")]
        for log in self._logs:
            log.touch()
        environment = {**ONE_THREAD, MARK: self._mark, **(environment or {})}
        line = [*TOOL, *arguments]
        if fresh:
            with self._logs[0].open("wb") as out, self._logs[1].open("wb") as err:
                self._process = subprocess.Popen(
                    [*fresh, *line], stdout=out, stderr=err, env={**os.environ, **environment}, start_new_session=True
                )
        else:
            self._process = _context.Process(target=_train_net, args=(line, self._logs, environment, prepare))
            self._process.start()

    @property
    def pid(self):
        return self._process.pid

    def said(self):
        """All that it has written, its complaints at the end."""
        return "".join(log.read_text() for log in self._logs)

    def complaints(self):
        """What it has written to stderr."""
        return self._logs[1].read_text()

    def exit_code(self):
        """Negative for the signal that has killed it, None while it runs."""
        return self._process.poll() if isinstance(self._process, subprocess.Popen) else self._process.exitcode

    def wait(self, seconds=120):
        """Its exit code, once it has ended."""
        (self._process.wait if isinstance(self._process, subprocess.Popen) else self._process.join)(seconds)
        assert self.exit_code() is not None, self.said()
        return self.exit_code()

    def processes(self):
        """All that bear the mark of this run, which they inherit whoever starts them; not a forked run itself."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self._mark}".encode() in (entry / "environ").read_bytes():
                    found.append(entry)
            except OSError:
                # It has ended since, or is not ours.
                continue
        return found

    def wait_for(self, condition, seconds=120, while_it_runs=False, every=0.02):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.said()
            assert not while_it_runs or self.exit_code() is None, self.said()
            time.sleep(every)

    def wait_for_words(self, words):
        self.wait_for(lambda: words in self.said(), while_it_runs=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for entry in self.processes():
            with suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)
        self.wait()


def _train_net(line, logs, environment, prepare):
    os.setsid()
    for number, log in enumerate(logs, start=1):
        with log.open("ab") as file:
            os.dup2(file.fileno(), number)
    sys.stdout.reconfigure(line_buffering=True)
    os.environ.update(environment)
    torch.set_num_threads(1)
    # Of its workers, as in an interpreter of its own.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    # Also for the interpreters that it starts.
    warnings.simplefilter("error")
    sys.warnoptions.append("error")
    sys.argv = line
    sys.path.insert(0, str(Path(line[0]).parent))
    if prepare is not None:
        prepare()
    runpy.run_path(line[0], run_name="__main__")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_to_its_end(folder, *arguments, **options):
    """What a run has said that ended well."""
    with Run(folder, *arguments, **options) as run:
        assert run.wait() == 0, run.said()
    return run.said()


@contextmanager
def two_ranks(folder, *arguments):
    """Two runs that find one another as torchrun's would."""
    meeting = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    places = [{"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    with (
        Run(folder, *arguments, environment={**meeting, **places[0]}) as one,
        Run(folder, *arguments, environment={**meeting, **places[1]}) as two,
    ):
        yield one, two
