"""When a run writes: its line on the screen, metrics.json and TensorBoard."""

from collections.abc import Callable, Sequence

from fastreid.engine.train_loop import HookBase
from fastreid.utils.events import EventWriter

from xreid_plugin.engine.console import ConsoleWriter


class ConsoleHook(HookBase):
    """Prints once a period and after every epoch, before what then takes long: a checkpoint, an evaluation."""

    def __init__(self, console: ConsoleWriter, period: int) -> None:
        """
        Args:
            console: prints an iteration once.
            period: iterations between two lines.
        """
        self._console = console
        self._period = period

    def after_step(self) -> None:
        """Prints once a period."""
        if (self.trainer.iter + 1) % self._period == 0:
            self._console.write()

    def after_epoch(self) -> None:
        """Prints the last iteration."""
        self._console.write()


class WriterHook(HookBase):
    """Writes once a period and after every epoch, but only once for the last step of an epoch.

    A writer drops what arrives for an iteration it has already written, and so would drop the evaluation's figures.
    """

    def __init__(self, build: Callable[[], Sequence[EventWriter]], period: int) -> None:
        """
        Args:
            build: makes the writers once it is known where the run goes on.
            period: iterations between two writings.
        """
        self._build = build
        self._period = period
        self._writers: Sequence[EventWriter] = []

    def before_train(self) -> None:
        """Writes what the run that is resumed had not written of its last epoch."""
        self._writers = self._build()
        if self.trainer.start_iter and self.trainer.start_iter % self.trainer.iters_per_epoch == 0:
            self._write()

    def after_step(self) -> None:
        """Writes once a period."""
        done = self.trainer.iter + 1
        if done % self._period == 0 and done % self.trainer.iters_per_epoch:
            self._write()

    def after_epoch(self) -> None:
        """Writes, unless the epoch's evaluation was left to whoever resumes the run."""
        if not self.trainer.stop.number:
            self._write()

    def _write(self) -> None:
        for writer in self._writers:
            writer.write()

    def close(self) -> None:
        """Closes all files."""
        for writer in self._writers:
            writer.close()
        self._writers = []
