"""The errors of a loader's workers, reported well: a worker's own error as it was raised, a death with its remedy.

Torch reports a worker's death as an error from a signal handler, wherever the main process happens to be; so the
context managers here are put around a loader and around a whole run alike.
"""

import multiprocessing
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from pathlib import Path

_DEATH = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (.*)", re.DOTALL)
_SIGNALLED = re.compile(r"is killed by signal: ([^.]*)\.")
_EXIT_CODE = re.compile(r"with exit code (\d+)")
_BATCH_LOST = 74  # EX_IOERR
_SHARED_MEMORY = Path("/dev/shm")
_SHARED_MEMORY_FULL = ("shared memory", "</torch_")
_GO_ON = "The run's checkpoints are whole: --resume goes on from the last."


class WorkerDiedError(RuntimeError):
    """A process that reads data has died, or has no memory to hand over its batches; names the remedy."""


def end_with_lost_batch() -> None:
    """In a worker: ends it if a batch cannot be sent, which a queue does not report to those who wait for the batch."""
    Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]


def _end(error: Exception, batch: object) -> None:
    # In one piece: this process may be killed at any moment, and half a line would swallow the beginning of the next.
    os.write(2, f"A worker of the data loader could not send a batch: {error}\n".encode())
    os._exit(_BATCH_LOST)


def end_workers() -> None:
    """Ends all workers of this process at once, and ignores how they end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for worker in multiprocessing.active_children():
        worker.kill()


def from_worker(error: Exception) -> bool:
    """Whether :func:`loader_errors_told` has raised it in place of one that a worker raised."""
    return str(error.__cause__).startswith(f"Caught {type(error).__name__} ")


@contextmanager
def loader_errors_told() -> Iterator[None]:
    """Within it, an error from a loader's worker is raised as what it was, or as :class:`WorkerDiedError`."""
    try:
        yield
    except Exception as error:
        plain = _plain(error)
        if plain is None:
            raise
        raise plain from error


def _plain(error: Exception) -> Exception | None:
    text = str(error)
    if isinstance(error, WorkerDiedError):
        return None
    if isinstance(error, RuntimeError) and (death := _DEATH.match(text)):
        # Where the main process was waiting for a batch, only the cause says how the worker died.
        by_signal = _DEATH.match(str(error.__cause__))
        return WorkerDiedError(_of_death(*(by_signal or death).groups()))
    if isinstance(error, RuntimeError) and all(part in text.lower() for part in _SHARED_MEMORY_FULL):
        return WorkerDiedError(f"A worker of the data loader has no room for a batch: {_of_shared_memory()} {_GO_ON}")
    # Torch puts the worker's traceback before the message, where the user does not find it.
    kind = type(error)
    # Tracebacks leave out the module of built-in errors.
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    _, found, said = text.rpartition(f"\n{name}: ")
    return kind(said.strip()) if text.startswith(f"Caught {kind.__name__} ") and found else None


def _of_death(pids: str, how: str) -> str:
    signalled, exit_code = _SIGNALLED.match(how), _EXIT_CODE.search(how)
    if exit_code and int(exit_code[1]) == _BATCH_LOST:
        return f"Worker {pids} of the data loader could not hand over a batch: {_of_shared_memory()} {_GO_ON}"
    if signalled and signalled[1] == "Bus error":
        return f"Worker {pids} of the data loader was ended by a bus error: {_of_shared_memory()} {_GO_ON}"
    if signalled:
        end = f"was ended by a signal ({signalled[1]})"
    else:
        end = f"ended with exit code {exit_code[1]}" if exit_code else "has ended unexpectedly"
    return (
        f"Worker {pids} of the data loader {end}. Unless somebody did that, memory is likely short (see dmesg): "
        "lower DATALOADER.NUM_WORKERS (0 reads in the main process) or DATALOADER.PREFETCH, or allow the job more "
        f"memory; {_of_shared_memory()} {_GO_ON}"
    )


def _of_shared_memory() -> str:
    try:
        usage = shutil.disk_usage(_SHARED_MEMORY)
    except OSError:
        return "workers hand batches over in shared memory, which this system does not show."
    free, total = usage.free / 2**20, usage.total / 2**20
    return (
        f"workers hand batches over in {_SHARED_MEMORY}, where {free:,.0f} of {total:,.0f} MiB are free now: "
        "enlarge it (docker run --shm-size 8g), or lower DATALOADER.NUM_WORKERS, DATALOADER.PREFETCH or the batch."
    )
