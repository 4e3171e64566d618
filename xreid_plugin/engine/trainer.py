"""The host's trainer, with clips, prototypes and both directions of the task, for runs that may be cut off anywhere.

Its checkpoints say where in an epoch a run stands, and hold all that its next steps and lines depend on: whatever is
killed or stopped and resumed ends as it would have.
"""

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from fastreid.engine import DefaultTrainer, hooks
from fastreid.engine.train_loop import HookBase, TrainerBase
from fastreid.solver import build_lr_scheduler
from fastreid.utils import comm
from fastreid.utils.env import seed_all_rng
from fastreid.utils.events import EventStorage
from torch import nn

from xreid_plugin.data.build import build_dataset, build_train_loader
from xreid_plugin.engine.checkpoints import (
    STOPPED,
    RunCheckpointer,
    random_state,
    restore_random_state,
    run_checkpoints,
    tell_changes,
)
from xreid_plugin.engine.evaluation import evaluate_test_sets, show_test_sets
from xreid_plugin.engine.hooks import CheckpointHook, ConsoleHook, EvaluationHook, RateHook, hooks_of_clips
from xreid_plugin.engine.inference import autocast, log_bad_frames
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.engine.record import RunWriter, restore_storage, storage_state
from xreid_plugin.engine.setup import complete_config, epoch_length
from xreid_plugin.engine.signals import RunStopped, StopAtOnce, StopRequest
from xreid_plugin.engine.step import NUMBERS_REMEDY, TrainingStep, gradient_scaler
from xreid_plugin.evaluation.results import ALONE, dataset_title, results_table, set_results_aside
from xreid_plugin.host import DeviceLoader, build_model, compress_gradients, distributed, resolve_device
from xreid_plugin.modeling.compilation import compile_blocks, wants_compilation
from xreid_plugin.modeling.gather import share_batch_statistics

logger = logging.getLogger(__name__)


class XReIDTrainer(DefaultTrainer):
    """Trains and evaluates any meta-architecture that takes clips; X-ReID's memory is refreshed and updated on the way.

    Attributes:
        evaluations: by label, the metrics of every evaluation of this run.
        start_epoch: epochs that were whole when the run began or went on.
        start_iter: iteration that the run begins or goes on with.
        stop: what signals have asked for.
    """

    def __init__(self, cfg: Any) -> None:
        """
        Args:
            cfg: with the plugin's keys; what only the data can tell is filled in in a copy. SEED seeds the weights.

        Raises:
            ValueError: a contradiction that only the data can tell.
        """
        # Not DefaultTrainer's, which makes a step and a checkpointer that would be thrown away.
        TrainerBase.__init__(self)
        self.cfg = cfg = cfg.clone()
        cfg.defrost()
        complete_config(cfg)
        cfg.freeze()
        seed_all_rng(cfg.SEED)
        show_test_sets(cfg)
        loader = self.build_train_loader(cfg)
        model = self.build_model(cfg)
        optimizer, _ = self.build_optimizer(cfg, model)
        if comm.get_world_size() > 1:
            model = wrapped = distributed(model, [comm.get_local_rank()], broadcast_buffers=False)
            if cfg.SOLVER.COMPRESS_GRADIENTS:
                compress_gradients(wrapped)
        scaler = gradient_scaler(cfg)
        self._trainer = TrainingStep(model, loader, optimizer, autocast(cfg), scaler, cfg.SOLVER.LOG_PERIOD)
        self.iters_per_epoch = epoch_length(cfg, len(self.data_loader.dataset) // cfg.SOLVER.IMS_PER_BATCH)
        self.scheduler = self.build_lr_scheduler(cfg, optimizer, self.iters_per_epoch)
        self.checkpointer = RunCheckpointer(
            model,
            cfg.OUTPUT_DIR,
            keep=cfg.SOLVER.CHECKPOINT_KEEP,
            save_to_disk=comm.is_main_process(),
            optimizer=optimizer,
            **self.scheduler,
            **({"grad_scaler": scaler} if scaler.is_enabled() else {}),
        )
        self.iter = self.start_iter = 0
        self.epoch = self.start_epoch = 0
        self.max_epoch: int = cfg.SOLVER.MAX_EPOCH
        self.max_iter = self.max_epoch * self.iters_per_epoch
        # The host's hook of the learning rate reads both.
        self.warmup_iters: int = cfg.SOLVER.WARMUP_ITERS
        self.delay_epochs: int = cfg.SOLVER.DELAY_EPOCHS
        self.evaluations: dict[str, dict[str, float]] = {}
        self.stop = StopRequest(timedelta(minutes=cfg.PROCESS_TIMEOUT))
        self._saved_at = -1
        self._resumed = False
        self._restored: dict[str, Any] = {}
        self._writer = RunWriter(Path(cfg.OUTPUT_DIR) / "metrics.json", cfg.SOLVER.LOG_PERIOD)
        self.register_hooks(self.build_hooks())

    @property
    def bare_model(self) -> nn.Module:
        """The model without the wrapper of distributed training."""
        model: nn.Module = self.model
        return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model

    @property
    def device(self) -> torch.device:
        """Of the model."""
        return next(self.model.parameters()).device

    @property
    def is_finished(self) -> bool:
        """Whether no epoch is left; only the last may be left to evaluate and to record."""
        return self.start_epoch >= self.max_epoch

    def build_hooks(self) -> list[HookBase]:
        """The host's hooks in the host's order but for its PreciseBN, which knows no clips; the plugin's among them."""
        cfg = self.cfg
        built: list[HookBase] = [hooks.IterationTimer(), RateHook(self.optimizer, self.scheduler)]
        built += hooks_of_clips(cfg, self.bare_model, self.optimizer)
        if comm.is_main_process():
            built.append(ConsoleHook(cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.LOG_PERIOD))
        # Before the evaluation: whatever happens there, the epoch is not lost.
        built.append(CheckpointHook(cfg.SOLVER.CHECKPOINT_PERIOD))
        built.append(EvaluationHook(cfg))
        return [*built, self._writer] if comm.is_main_process() else built

    def resume_or_load(self, resume: bool = True) -> None:
        """The newest whole checkpoint of the run, where that is wanted and there is one, or else MODEL.WEIGHTS.

        Raises:
            ValueError: no checkpoint can be read, or it stands beyond the end of an epoch.
        """
        folder = Path(self.cfg.OUTPUT_DIR)
        self._resumed = resume and bool(run_checkpoints(folder))
        if resume and not self._resumed:
            logger.info(f"The latest run in {folder} has saved no checkpoint to resume: this one starts from scratch.")
        content = self.checkpointer.resume_or_load(self.cfg.MODEL.WEIGHTS, resume=resume)
        if self._resumed:
            self._restored = content
            tell_changes(content, self.cfg)
            self.start_epoch = content.get("epoch", -1) + 1
            step = content.get("step_in_epoch", 0)
            if step >= self.iters_per_epoch:
                raise ValueError(
                    f"The checkpoint was made after {step} iterations of an epoch, and an epoch has "
                    f"{self.iters_per_epoch}: set SOLVER.ITERS_PER_EPOCH and SOLVER.IMS_PER_BATCH as they were."
                )
            self.start_iter = self.start_epoch * self.iters_per_epoch + step
        places = comm.all_gather(self.start_iter)
        if len(set(places)) > 1:
            raise ValueError(
                f"Processes find checkpoints of different iterations, {places}: share {folder} among machines."
            )
        self.data_loader.batch_sampler.sampler.start = self.start_iter

    def train(self) -> dict[str, float]:
        """Runs training from where it stands; at its end the main process logs the first and the last evaluation.

        Returns:
            The metrics of the last evaluation on the main process; empty elsewhere, or where none took place.

        Raises:
            RunStopped: on a signal, after a checkpoint was saved.
            FloatingPointError: see :meth:`TrainingStep.read_losses`; no checkpoint was saved since.
            OSError: the disk is full; what was on it stays loadable.
        """
        if not self.is_finished:
            logger.info(f"Starting training from iteration {self.start_iter + 1} of {self.max_iter}")
        if not self._resumed:
            # Before the first line is written: a checkpoint is never joined to the lines of another run.
            self.checkpointer.forget_earlier_run()
            if comm.is_main_process():
                set_results_aside(Path(self.cfg.OUTPUT_DIR))
        with self.stop, EventStorage(self.start_iter) as self.storage:
            self._restore()
            try:
                self._run_epochs()
            except StopAtOnce:
                self._stop_here()
            finally:
                self._writer.close()
        labels = list(self.evaluations)
        if len(labels) > 1:
            ends = {label: self.evaluations[label] for label in (labels[0], labels[-1])}
            sets = {dataset_title(build_dataset(self.cfg, name).protocol) for name in self.cfg.DATASETS.TESTS}
            logger.info(f"{', '.join(sorted(sets))}, in percent:\n{results_table(ends)}")
        return self.evaluations[labels[-1]] if labels else {}

    def _restore(self) -> None:
        self.iter = self.start_iter
        self.epoch = self.storage.epoch = self.start_epoch - 1
        if "metrics" in self._restored:
            restore_storage(self.storage, self._restored["metrics"])
        if "random" in self._restored:
            restore_random_state(self._restored["random"], self.device)
        # What is recorded before the next step belongs to the last.
        self.storage.iter = max(self.start_iter - 1, 0)
        self._restored = {}

    def _run_epochs(self) -> None:
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

    def after_epoch(self) -> None:
        """The losses are read, and bad frames told, before any hook saves, evaluates or writes."""
        self._trainer.read_losses()
        log_bad_frames(f"Training, epoch {self.epoch + 1}", self._trainer.take_faults())
        super().after_epoch()

    def save_checkpoint(self, name: str) -> None:
        """Saves the run as it stands between two steps; collective.

        Args:
            name: of the file, without its ending.

        Raises:
            OSError: the disk is full.
            FloatingPointError: a weight is infinite or NaN, so that no run could go on from it.
        """
        spoilt = [name for name, value in self.bare_model.state_dict().items() if not value.isfinite().all()]
        if spoilt:
            raise FloatingPointError(
                f"Weights are not finite after iteration {self.iter}: {', '.join(spoilt[:5])}. Nothing has been saved "
                f"since the last checkpoint. {NUMBERS_REMEDY}"
            )
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

    @classmethod
    def build_train_loader(cls, cfg: Any) -> DeviceLoader:
        """Training clips."""
        return build_train_loader(cfg)

    @classmethod
    def build_model(cls, cfg: Any) -> nn.Module:
        """The host's, compiled as MODEL.COMPILE says; the log file has a picture of every layer."""
        model = build_model(cfg)
        logging.getLogger("fastreid").info(f"Model:\n{model}")
        device = resolve_device(cfg.MODEL.DEVICE)
        if wants_compilation(cfg.MODEL.COMPILE, model, device):
            compile_blocks(model, device, autocast(cfg))
        return model

    @classmethod
    def build_optimizer(cls, cfg: Any, model: nn.Module) -> tuple[torch.optim.Optimizer, None]:
        """The recipe's optimiser; None stands for the host's contiguous buffers, which are not used."""
        return build_optimizer(cfg, model), None

    @classmethod
    def build_lr_scheduler(cls, cfg: Any, optimizer: torch.optim.Optimizer, iters_per_epoch: int) -> dict[str, Any]:
        """The host's schedulers, for epochs of the plugin's length.

        Raises:
            ValueError: the warm-up leaves no epoch for the cosine to fall in.
        """
        length = epoch_length(cfg, iters_per_epoch)
        last_warm_up = (cfg.SOLVER.MAX_EPOCH - 1) * length
        if cfg.SOLVER.SCHED == "CosineAnnealingLR" and last_warm_up < cfg.SOLVER.WARMUP_ITERS:
            raise ValueError(
                f"SOLVER.WARMUP_ITERS is {cfg.SOLVER.WARMUP_ITERS}, but CosineAnnealingLR needs an epoch of {length} "
                f"iterations after it within SOLVER.MAX_EPOCH, {cfg.SOLVER.MAX_EPOCH}: at most {last_warm_up}."
            )
        schedulers: dict[str, Any] = build_lr_scheduler(cfg, optimizer, length)
        return schedulers

    @classmethod
    def test(cls, cfg: Any, model: nn.Module, label: str = ALONE, checkpoint: Path | None = None) -> dict[str, float]:
        """What the host calls to evaluate: :func:`~xreid_plugin.engine.evaluation.evaluate_test_sets`."""
        return evaluate_test_sets(cfg, model, label, checkpoint)
