"""Several processes on one machine: what two exchange in a step, and what waiting threads cost beside other work."""

import atexit
import multiprocessing
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import torch
from torch import distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from benchmarks.measure import Work
from benchmarks.model import FORM, make_batch, make_config, make_model, make_trainer, steps_of
from benchmarks.report import Case, read_size
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.engine.signals import StopRequest
from xreid_plugin.host import compress_gradients, distributed

# By name, the place among its arguments of what a rank sends.
COLLECTIVES = {"all_gather": 1, "all_gather_into_tensor": 1, "all_reduce": 0, "broadcast": 0, "reduce": 0}
# Frames so small change nothing that is sent but 160 rows of the position embeddings.
SMALL, RECIPE = (32, 16), "vcm.yml"
ASKED = 100
# Until whoever started it is gone, however that ended.
RESTLESS = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
FOLDER = tempfile.TemporaryDirectory(prefix="ranks-")


def collectives_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Per size, "BxT", clips of all ranks and frames: a step of two processes, with and without compression."""
    found = []
    for size in sizes or ("16x10",):
        clips, frames = read_size(size, FORM)
        for compressed, against in ((False, ""), (True, "float32")):
            name = f"two processes, gradients in {'bfloat16' if compressed else 'float32'}"
            found.append(Case(name, size, exchange, (clips, frames, compressed), against))
    return found


def exchange(clips: int, frames: int, compressed: bool, recipe: str = RECIPE, plainly: bool = False) -> Work:
    """Steps of two processes that meet through gloo; this one is the first.

    Found are calls and MB that a rank sends in one step, by what is sent, and the time of the request to stop.
    """
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    given = tempfile.mkdtemp(dir=FOLDER.name), clips, frames, compressed and not plainly, recipe
    context.Process(target=_follow, args=(its, *given), daemon=True).start()
    rank = _Rank(0, *given)

    def ask(what: str, times: int = 1) -> None:
        ours.send((what, times))
        getattr(rank, what)(times)

    # The first show which parameters have gradients, and how these are best sent.
    ask("step", 3)
    with _noted() as (calls, sent):
        ask("step")
    found = {
        f"{name} {unit}": count for name in calls for unit, count in (("×", calls[name]), ("MB", sent[name] / 1e6))
    }
    ask("agree", ASKED)
    return Work(partial(ask, "step"), {**found, "stop µs": median(rank.waited) * 1e6})


class _Rank:
    """One of two processes that train."""

    def __init__(self, number: int, folder: str, clips: int, frames: int, compressed: bool, recipe: str) -> None:
        torch.set_num_threads(max(1, torch.get_num_threads() // 2))
        timeout = timedelta(minutes=5)
        dist.init_process_group("gloo", f"file://{folder}/meeting", timeout, world_size=2, rank=number)
        cfg = make_config(frames, recipe)
        cfg.INPUT.SIZE_TRAIN = list(SMALL)
        self.bare = make_model(cfg)
        model = distributed(self.bare, [number], broadcast_buffers=False)
        if compressed:
            compress_gradients(model)
        else:
            # What happens without a hook, but in Python, where it is counted.
            model.register_comm_hook(None, allreduce_hook)
        batch, optimizer = make_batch(clips // 2, frames, SMALL), build_optimizer(cfg, self.bare)
        self.trainer = make_trainer(model, optimizer, batch, True, 50)
        self.stop = StopRequest(timeout).__enter__()
        self.waited: list[float] = []

    def step(self, times: int) -> None:
        for _ in range(times):
            self.trainer.run_step()
            self.bare.prototypes.update()
            self.stop.agreed()

    def agree(self, times: int) -> None:
        for _ in range(times):
            start = time.perf_counter()
            self.stop.agreed()
            self.waited.append(time.perf_counter() - start)


def _follow(asked: Connection, *given: Any) -> None:
    rank = _Rank(1, *given)
    # The first rank ends this one by it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        what, times = asked.recv()
        getattr(rank, what)(times)


@contextmanager
def _noted() -> Iterator[tuple[Counter[str], Counter[str]]]:
    """Calls, and bytes that this rank sends, by what is sent."""
    calls, sent = Counter[str](), Counter[str]()
    originals = {name: getattr(dist, name) for name in COLLECTIVES}

    def noting(name: str, *args: Any, **options: Any) -> Any:
        tensor = args[COLLECTIVES[name]]
        # Gradients are summed, and so is the one number of a request to stop.
        what = {"all_gather_into_tensor": "clips", "broadcast": "prototypes"}.get(name, "gradients")
        what = what if tensor.ndim else "stop"
        calls[what] += 1
        sent[what] += tensor.nbytes
        return originals[name](*args, **options)

    for name in COLLECTIVES:
        setattr(dist, name, partial(noting, name))
    try:
        yield calls, sent
    finally:
        for name, original in originals.items():
            setattr(dist, name, original)


def waiting_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Per size, a number of processes that want the cores, the training among them: OMP_WAIT_POLICY's values."""
    found = []
    for size in sizes or ("1", "3"):
        (processes,) = read_size(size, "a number of processes, the training among them, such as 3", 1)
        for value in (None, "ACTIVE"):
            its: dict[str, str | None] = {"OMP_WAIT_POLICY": value}
            against = f"OMP_WAIT_POLICY {value or 'not set'}"
            found.append(Case("waiting, processes", size, train_beside, (processes,), against, its_environment=its))
    return found


def train_beside(processes: int, plainly: bool = False) -> Work:
    """Steps of the recipe for drawn people beside processes that never rest; the sides differ in environment alone."""
    for _ in range(processes - 1):
        atexit.register(subprocess.Popen([sys.executable, "-c", RESTLESS]).kill)
    cfg = make_config(4, "synthetic.yml")
    model = make_model(cfg)
    batch = make_batch(cfg.SOLVER.IMS_PER_BATCH, 4, tuple(cfg.INPUT.SIZE_TRAIN))
    trainer = make_trainer(model, build_optimizer(cfg, model), batch, cfg.SOLVER.AMP.ENABLED, 50)
    return steps_of(trainer, model, 1)
