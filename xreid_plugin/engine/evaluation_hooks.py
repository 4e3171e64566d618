"""When a run evaluates: before its first step, every so many epochs, and where an interrupted run had not."""

from collections.abc import Callable
from typing import Any

from fastreid.engine.hooks import EvalHook
from fastreid.engine.train_loop import HookBase
from fastreid.utils import comm


class EvalAtStartHook(HookBase):
    """Evaluates before the first iteration of a fresh run, so that the last table has something to compare with."""

    def __init__(self, evaluate: Callable[[], Any]) -> None:
        """
        Args:
            evaluate: runs and records an evaluation.
        """
        self._evaluate = evaluate

    def before_train(self) -> None:
        """Does nothing in a resumed run."""
        if self.trainer.start_iter == 0:
            with self.trainer.stop.interrupting():
                self._evaluate()
            comm.synchronize()


class EvaluationHook(EvalHook):
    """Evaluates every so many epochs and after the last, and what an interrupted run was about to evaluate."""

    def __init__(self, period: int, evaluate: Callable[[], Any], is_recorded: Callable[[int], bool]) -> None:
        """
        Args:
            period: epochs between two evaluations; 0 or less for none.
            evaluate: evaluates and returns the figures, on all ranks.
            is_recorded: tells the main process whether there are figures for an iteration.
        """
        super().__init__(period, evaluate)
        self._is_recorded = is_recorded

    def _is_due_after(self, epoch: int) -> bool:
        done = epoch + 1
        return self._period > 0 and (done % self._period == 0 or done == self.trainer.max_epoch)

    def before_train(self) -> None:
        """Evaluates the checkpoint that the run goes on from, if it is due and was not evaluated before the end."""
        start = self.trainer.start_iter
        if not start or start % self.trainer.iters_per_epoch or not self._is_due_after(self.trainer.start_epoch - 1):
            return
        if not comm.all_gather(comm.is_main_process() and self._is_recorded(start - 1))[0]:
            self._evaluate()

    def after_epoch(self) -> None:
        """Evaluates if it is due; a run that is asked to end leaves it to whoever resumes it."""
        if self._is_due_after(self.trainer.epoch) and not self.trainer.stop.number:
            self._evaluate()

    def _evaluate(self) -> None:
        with self.trainer.stop.interrupting():
            self._do_eval()

    def after_train(self) -> None:
        """Nothing is left to do: the last epoch has been evaluated after it."""
