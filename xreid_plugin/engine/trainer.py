"""The host's DefaultTrainer, with clips, prototypes and both directions of the task."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from fastreid.engine import hooks
from fastreid.engine.train_loop import HookBase
from fastreid.utils import comm
from fastreid.utils.env import seed_all_rng
from fastreid.utils.events import EventWriter
from torch import nn

from xreid_plugin.data.build import build_clip_loader, build_train_loader, build_training_set
from xreid_plugin.engine.bad_frames import BadFramesHook
from xreid_plugin.engine.console import ConsoleWriter, details_to_file
from xreid_plugin.engine.evaluation_hooks import EvalAtStartHook, EvaluationHook
from xreid_plugin.engine.evaluation_sets import evaluate_test_sets, show_test_sets
from xreid_plugin.engine.hooks import (
    CheckpointHook,
    FreezeHook,
    PrototypeHook,
    ThroughputHook,
)
from xreid_plugin.engine.metrics import EventsFile, MetricsFile, has_evaluation
from xreid_plugin.engine.optimizer import build_optimizer, freeze_while
from xreid_plugin.engine.precision import autocast, gradient_scaler
from xreid_plugin.engine.resumable import ResumableTrainer
from xreid_plugin.engine.run_checkpoints import RunCheckpointer
from xreid_plugin.engine.setup import complete_config
from xreid_plugin.engine.statistics import StatisticsHook
from xreid_plugin.engine.step import TrainingStep
from xreid_plugin.engine.writer_hooks import ConsoleHook, WriterHook
from xreid_plugin.evaluation.ranking import results_table
from xreid_plugin.host import DeviceLoader, resolve_device
from xreid_plugin.modeling.compilation import compile_blocks
from xreid_plugin.modeling.xreid import XReID

logger = logging.getLogger(__name__)

BEFORE_TRAINING = "before training"


class XReIDTrainer(ResumableTrainer):
    """Trains and evaluates any meta-architecture that takes clips; X-ReID's memory is refreshed and updated on the way.

    Attributes:
        evaluations: by label, the figures of every evaluation of this run.
    """

    def __init__(self, cfg: Any) -> None:
        """
        Args:
            cfg: with the plugin's keys; what only the data can tell is filled in in a copy. SEED seeds the weights.

        Raises:
            ValueError: a SEED below 0, or a contradiction that only the data can tell.
        """
        if cfg.SEED < 0:
            # A resumed run needs the seed that its first part had; the tool looks that up.
            raise ValueError(
                f"SEED is {cfg.SEED}, which tools/train_net.py alone draws from; set it to 0 or more, such as 0."
            )
        seed_all_rng(cfg.SEED)
        cfg = cfg.clone()
        cfg.defrost()
        complete_config(cfg)
        cfg.freeze()
        self.evaluations: dict[str, dict[str, float]] = {}
        show_test_sets(cfg)
        super().__init__(cfg)
        scaler = gradient_scaler(cfg)
        # The host has just made one too, which reads the losses in every step and has no key for the number type.
        self._trainer = TrainingStep(
            self.model, self.data_loader, self.optimizer, self.autocast(), scaler, cfg.SOLVER.LOG_PERIOD
        )
        self.checkpointer = RunCheckpointer(
            self.model,
            cfg.OUTPUT_DIR,
            keep=cfg.SOLVER.CHECKPOINT_KEEP,
            save_to_disk=comm.is_main_process(),
            optimizer=self.optimizer,
            **self.scheduler,
            **({"grad_scaler": scaler} if scaler.is_enabled() else {}),
        )
        freeze_while(self.optimizer, lambda: self.iter < cfg.SOLVER.FREEZE_ITERS)

    @property
    def bare_model(self) -> nn.Module:
        """The model without the wrapper of distributed training."""
        model: nn.Module = self.model
        return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model

    def autocast(self) -> AbstractContextManager[Any]:
        """The context that forward passes run in."""
        return autocast(self.cfg)

    def train(self) -> dict[str, float]:
        """Runs training; at its end the main process logs a table of the first and the last of several evaluations."""
        results = super().train()
        labels = list(self.evaluations)
        if len(labels) > 1:
            ends = {label: self.evaluations[label] for label in (labels[0], labels[-1])}
            logger.info("Results in percent:\n" + results_table(ends))
        return results

    def after_epoch(self) -> None:
        """The losses are read before any hook saves, evaluates or writes."""
        self._trainer.read_losses()
        super().after_epoch()

    def build_hooks(self) -> list[HookBase]:
        """The host's hooks in the host's order but for its PreciseBN, which knows no clips; the plugin's among them."""
        cfg, period, cpc = self.cfg, self.cfg.SOLVER.LOG_PERIOD, self.cfg.MODEL.CPC
        # The host has just computed both from the size of the dataset; hooks and writers read them from here on.
        self.iters_per_epoch = epoch_length(cfg, self.iters_per_epoch)
        self.max_iter = self.max_epoch * self.iters_per_epoch
        built: list[HookBase] = [hooks.IterationTimer(), hooks.LRScheduler(self.optimizer, self.scheduler)]
        if cfg.MODEL.FREEZE_LAYERS and cfg.SOLVER.FREEZE_ITERS > 0:
            built.append(FreezeHook(self.model, cfg.MODEL.FREEZE_LAYERS, cfg.SOLVER.FREEZE_ITERS))
        if cfg.TEST.EVAL_AT_START:
            built.append(EvalAtStartHook(lambda: self._evaluate(BEFORE_TRAINING)))
        built.append(ThroughputHook(cfg.SOLVER.IMS_PER_BATCH, period))
        model = self.bare_model
        if isinstance(model, XReID) and model.prototypes is not None:
            tracklets = build_training_set(cfg).train
            loader = build_clip_loader(cfg, tracklets, "even", cpc.REFRESH_BATCH, drop_unreadable=True)
            built.append(PrototypeHook(model, model.prototypes, loader, cpc.REFRESH_EPOCHS, period))
        built.append(BadFramesHook())
        if comm.is_main_process():
            device = resolve_device(cfg.MODEL.DEVICE)
            built.append(ConsoleHook(ConsoleWriter(self.max_iter, cfg.SOLVER.IMS_PER_BATCH, device), period))
        if comm.get_world_size() > 1:
            built.append(StatisticsHook(model))
        # Before the evaluation: whatever happens there, the epoch is not lost.
        built.append(CheckpointHook(cfg.SOLVER.CHECKPOINT_PERIOD))
        built.append(
            EvaluationHook(
                cfg.TEST.EVAL_PERIOD,
                lambda: self._evaluate(f"epoch {self.epoch + 1}"),
                lambda iteration: has_evaluation(self._metrics_path, iteration),
            )
        )
        if comm.is_main_process():
            built.append(WriterHook(self.build_writers, period))
        return built

    def build_writers(self) -> list[EventWriter]:
        """metrics.json and TensorBoard, which go on where the run does."""
        metrics = MetricsFile(self._metrics_path, self.start_iter)
        return [metrics, EventsFile(self._metrics_path.parent, self.start_iter, metrics.last_iteration)]

    @property
    def _metrics_path(self) -> Path:
        return Path(self.cfg.OUTPUT_DIR) / "metrics.json"

    @classmethod
    def build_train_loader(cls, cfg: Any) -> DeviceLoader:
        """Training clips."""
        return build_train_loader(cfg)

    @classmethod
    def build_model(cls, cfg: Any) -> nn.Module:
        """The host's, compiled if MODEL.COMPILE says so; its picture of every layer goes to the log file alone."""
        with details_to_file():
            model: nn.Module = super().build_model(cfg)
        if cfg.MODEL.COMPILE:
            compile_blocks(model, resolve_device(cfg.MODEL.DEVICE), autocast(cfg))
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
        return super().build_lr_scheduler(cfg, optimizer, length)

    def _evaluate(self, label: str) -> dict[str, float]:
        self._last_eval_results = self.test(self.cfg, self.model, label)
        if comm.is_main_process():
            self.evaluations[label] = self._last_eval_results
        return self._last_eval_results

    @classmethod
    def test(cls, cfg: Any, model: nn.Module, label: str = "evaluation") -> dict[str, float]:
        """What the host calls to evaluate: :func:`~xreid_plugin.engine.evaluation_sets.evaluate_test_sets`."""
        return evaluate_test_sets(cfg, model, label)


def epoch_length(cfg: Any, host_length: int) -> int:
    """Iterations of an epoch: SOLVER.ITERS_PER_EPOCH, or the host's count if that is 0.

    Raises:
        ValueError: the host counts none, as there are fewer tracklets than a batch has clips.
    """
    length: int = cfg.SOLVER.ITERS_PER_EPOCH or host_length
    if length < 1:
        raise ValueError(
            "SOLVER.ITERS_PER_EPOCH is 0, for the training set's tracklets // SOLVER.IMS_PER_BATCH, but there are "
            f"fewer tracklets than the {cfg.SOLVER.IMS_PER_BATCH} clips of a batch; set the iterations, such as 100."
        )
    return length
