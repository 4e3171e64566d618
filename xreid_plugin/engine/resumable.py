"""The host's trainer, so that a run may be killed, stopped or cut off anywhere and still end as it would have."""

import logging
from pathlib import Path
from typing import Any

import torch
from fastreid.engine import DefaultTrainer
from fastreid.utils import comm
from fastreid.utils.events import EventStorage

from xreid_plugin.engine.metrics import restore_storage, storage_state
from xreid_plugin.engine.random_state import random_state, restore_random_state
from xreid_plugin.engine.run_checkpoints import PREVIOUS_LIST, STOPPED, RunCheckpointer
from xreid_plugin.engine.signals import RunStopped, StopAtOnce, StopRequest
from xreid_plugin.engine.statistics import share_batch_statistics
from xreid_plugin.engine.step import TrainingStep
from xreid_plugin.engine.writer_hooks import WriterHook
from xreid_plugin.files import remove_leftovers

logger = logging.getLogger(__name__)


class ResumableTrainer(DefaultTrainer):
    """Its checkpoints say where in an epoch a run stands, and hold all that its next steps and lines depend on.

    Attributes:
        start_iter: iteration that the run begins or goes on with.
        stop: what signals have asked for.
    """

    # The host's attributes, which it does not declare.
    _trainer: TrainingStep
    checkpointer: RunCheckpointer
    iters_per_epoch: int
    start_epoch: int
    max_epoch: int
    max_iter: int
    iter: int
    epoch: int

    def __init__(self, cfg: Any) -> None:
        """
        Args:
            cfg: complete.
        """
        super().__init__(cfg)
        self.start_iter = 0
        self.stop = StopRequest()
        self._saved_at = -1
        self._resumed = False
        self._restored: dict[str, Any] = {}

    @property
    def device(self) -> torch.device:
        """Of the model."""
        return next(self.model.parameters()).device

    @property
    def is_finished(self) -> bool:
        """Whether no epoch is left; only the last may be left to evaluate and to record."""
        return self.start_epoch >= self.max_epoch

    def resume_or_load(self, resume: bool = True) -> None:
        """The newest whole checkpoint of the run, where that is wanted and there is one, or else MODEL.WEIGHTS.

        Raises:
            ValueError: no checkpoint can be read, it stands beyond the end of an epoch, or processes would go on from
                different places.
        """
        if comm.is_main_process():
            for file in remove_leftovers(Path(self.cfg.OUTPUT_DIR)):
                logger.info(f"Removed {file}, which a killed run had not finished")
        comm.synchronize()
        self._resumed = resume and self.checkpointer.has_checkpoint()
        if resume and not self._resumed:
            logger.info(_nothing_to_resume(Path(self.cfg.OUTPUT_DIR)))
        content = self.checkpointer.resume_or_load(self.cfg.MODEL.WEIGHTS, resume=resume)
        if self._resumed:
            self._restored = content
            self._go_on_from(content.get("epoch", -1) + 1, content.get("step_in_epoch", 0))
        places = comm.all_gather(self.start_iter)
        if len(set(places)) > 1:
            raise ValueError(
                f"OUTPUT_DIR is {self.cfg.OUTPUT_DIR}, where processes find checkpoints of different iterations, "
                f"{places}: with several machines it must be a folder that all of them share."
            )
        self.data_loader.batch_sampler.sampler.start = self.start_iter

    def _go_on_from(self, epoch: int, step: int) -> None:
        if step >= self.iters_per_epoch:
            raise ValueError(
                f"The checkpoint was made after {step} iterations of an epoch, and an epoch has "
                f"{self.iters_per_epoch}: set SOLVER.ITERS_PER_EPOCH and SOLVER.IMS_PER_BATCH as they were."
            )
        self.start_epoch = epoch
        self.start_iter = epoch * self.iters_per_epoch + step

    def train(self) -> dict[str, float]:
        """Runs training from where it stands; the figures of the last evaluation on the main process.

        Raises:
            RunStopped: on a signal, after a checkpoint was saved.
            NonFiniteLossError: see :meth:`TrainingStep.read_losses`; no checkpoint was saved since.
            WriteError: the disk is full; see :class:`RunCheckpointer`.
        """
        if not self.is_finished:
            logger.info(f"Starting training from iteration {self.start_iter + 1} of {self.max_iter}")
        self.iter = self.start_iter
        if not self._resumed:
            # Before the first line is written: a checkpoint is never joined to the lines of another run.
            self.checkpointer.put_list_aside()
        with self.stop, EventStorage(self.start_iter) as self.storage:
            self._restore()
            try:
                self._train()
            except StopAtOnce:
                self._stop_here()
            finally:
                for hook in self._hooks:
                    if isinstance(hook, WriterHook):
                        hook.close()
        results: dict[str, float] = self._last_eval_results
        return results if comm.is_main_process() else {}

    def _train(self) -> None:
        self.before_train()
        for epoch in range(self.start_epoch, self.max_epoch):
            self.epoch = epoch
            end = (epoch + 1) * self.iters_per_epoch
            self.before_epoch()
            while self.iter < end:
                self.before_step()
                self.run_step()
                self.after_step()
                self.iter += 1
                if self.stop.agreed() and self.iter < end:
                    self._stop_here()
            self.after_epoch()
            if self.stop.agreed():
                self._stop_here()
        if self.iter > self.start_iter:
            self.after_train()

    def _restore(self) -> None:
        self.epoch = self.start_epoch - 1
        self.storage.epoch = self.epoch
        if "metrics" in self._restored:
            restore_storage(self.storage, self._restored["metrics"])
        if "random" in self._restored:
            restore_random_state(self._restored["random"], comm.get_rank(), comm.get_world_size(), self.device)
        # What is recorded before the next step belongs to the last.
        self.storage.iter = max(self.start_iter - 1, 0)
        self._restored = {}

    def save_checkpoint(self, name: str) -> None:
        """Saves the run as it stands between two steps; collective.

        Args:
            name: of the file, without its ending.

        Raises:
            WriteError: the disk is full.
        """
        states = comm.gather(random_state(self.device))
        self.checkpointer.save(
            name,
            # The last that is finished: also the host can go on from here, at the beginning of an epoch.
            epoch=self.iter // self.iters_per_epoch - 1,
            step_in_epoch=self.iter % self.iters_per_epoch,
            config=self.cfg.dump(),
            metrics=storage_state(self.storage),
            random=states,
        )
        self._saved_at = self.iter

    def _stop_here(self) -> None:
        self._trainer.read_losses()
        if self._saved_at != self.iter:
            if comm.get_world_size() > 1:
                # The main process saves for all of them.
                share_batch_statistics(self.model)
            self.save_checkpoint(STOPPED)
        comm.synchronize()
        message = f"Stopped after iteration {self.iter} of {self.max_iter}; --resume goes on from there."
        logger.info(message)
        raise RunStopped(message, self.stop.number)


def _nothing_to_resume(folder: Path) -> str:
    message = f"The latest run in {folder} has saved no checkpoint to resume: this one starts from scratch."
    if (folder / PREVIOUS_LIST).is_file():
        message += f" The checkpoints of the run before it are named in {PREVIOUS_LIST}."
    return message
