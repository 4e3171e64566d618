"""What happens around the steps of a run: prototypes, frozen layers, checkpoints, evaluations, and what is written."""

import logging
import time
from pathlib import Path
from typing import Any

import torch
from fastreid.engine.hooks import LRScheduler
from fastreid.engine.train_loop import HookBase
from fastreid.utils import comm
from torch import nn

from xreid_plugin.data.build import build_clip_loader, build_training_set
from xreid_plugin.data.tracklet import Modality
from xreid_plugin.engine.checkpoints import FINAL
from xreid_plugin.engine.inference import autocast, extract_sequences
from xreid_plugin.engine.record import console_line, has_evaluation
from xreid_plugin.evaluation.results import read_results
from xreid_plugin.modeling.gather import share_batch_statistics
from xreid_plugin.modeling.prototypes import PrototypeMemory
from xreid_plugin.modeling.xreid import XReID

logger = logging.getLogger(__name__)

# Label of the evaluation before the first step.
BEFORE_TRAINING = "before training"
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def hooks_of_clips(cfg: Any, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[HookBase]:
    """What training on clips needs beside the host's own hooks, whichever trainer runs it.

    Args:
        cfg: complete.
        model: of the run, not wrapped.
        optimizer: of :func:`~xreid_plugin.engine.optimizer.build_optimizer`.
    """
    built: list[HookBase] = []
    if cfg.MODEL.FREEZE_LAYERS and cfg.SOLVER.FREEZE_ITERS > 0:
        built.append(FreezeHook(cfg, model, optimizer))
    if isinstance(model, XReID) and model.prototypes is not None:
        built.append(PrototypeRefresh(cfg, model, model.prototypes))
    if comm.get_world_size() > 1:
        built.append(StatisticsHook())
    return built


class RateHook(LRScheduler):
    """The host's hook of the learning rate, which reads the scale of float16's gradients in the warm-up alone.

    There a step that overflowed, and so was skipped, does not count; after it the host reads the scale for nothing, and
    to read it is to wait for the device.
    """

    def before_step(self) -> None:
        """Remembers the scale if the step is one of the warm-up."""
        if self.trainer.iter < self.trainer.warmup_iters:
            super().before_step()


class PrototypeRefresh(HookBase):
    """Refreshes the prototypes before an epoch and updates them after every backward pass (method: CPC)."""

    def __init__(self, cfg: Any, model: XReID, memory: PrototypeMemory) -> None:
        """
        Args:
            cfg: complete.
            model: the X-ReID model, not wrapped.
            memory: its prototypes.
        """
        self._model = model
        self._memory = memory
        # One clip of every training tracklet.
        self._loader = build_clip_loader(cfg, build_training_set(cfg).train, "even", cfg.MODEL.CPC.REFRESH_BATCH)
        self._refresh_epochs = cfg.MODEL.CPC.REFRESH_EPOCHS
        self._log_period = cfg.SOLVER.LOG_PERIOD
        self._autocast = autocast(cfg)

    def before_epoch(self) -> None:
        """Extracts the prototypes from every training tracklet, but not where a run goes on in mid-epoch."""
        first = self.trainer.iter == 0
        due = first or (self._refresh_epochs > 0 and self.trainer.epoch % self._refresh_epochs == 0)
        if not due or self.trainer.iter % self.trainer.iters_per_epoch:
            return
        start = time.perf_counter()
        with self._autocast:
            sequences, targets, modalities = extract_sequences(self._model, self._loader)
        self._model.extract_prototypes(sequences, targets, modalities, fit_neck=first)
        gap = (self._memory.of(Modality.INFRARED) * self._memory.of(Modality.VISIBLE)).sum(1).mean()
        # Between epochs the host's storage still stands at the last iteration, which is already written.
        self.trainer.storage.iter = self.trainer.iter
        self.trainer.storage.put_scalar("prototype/modality_cosine", gap.item(), smoothing_hint=False)
        logger.info(f"Prototypes of {len(sequences):,} tracklets refreshed in {time.perf_counter() - start:.1f} s")

    def after_step(self) -> None:
        """Blends in the batch that the model has just seen; once a period it waits for the similarities."""
        similarity = self._memory.update()
        if similarity is not None and (self.trainer.iter + 1) % self._log_period == 0:
            self.trainer.storage.put_scalars(
                **{"prototype/own": similarity.own.item(), "prototype/cross": similarity.cross.item()}
            )


class FreezeHook(HookBase):
    """Keeps layers at any depth as they are for a while, MODEL.FREEZE_LAYERS: their parameters and their batch norms.

    The host's LayerFreeze knows a model's own children alone, and puts them in eval mode, in which heads give no
    losses; here only the norms are. Each evaluation or refresh puts the model back in train mode, hence before every
    step. The host's optimiser counts its steps for the parameters, anew in a run that is resumed.
    """

    def __init__(self, cfg: Any, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """
        Args:
            cfg: MODEL.FREEZE_LAYERS, full dotted names of modules, are frozen for SOLVER.FREEZE_ITERS iterations.
            model: of the run.
            optimizer: its groups say by "freeze_status" which of them are of these layers.
        """
        layers: list[str] = list(cfg.MODEL.FREEZE_LAYERS)
        self._iters: int = cfg.SOLVER.FREEZE_ITERS
        self._norms = [
            module
            for name, module in model.named_modules()
            if isinstance(module, BATCH_NORMS) and f"{name}.".startswith(tuple(f"{layer}." for layer in layers))
        ]
        self._parameters = [
            parameter
            for group in optimizer.param_groups
            if group["freeze_status"] == "freeze"
            for parameter in group["params"]
        ]
        optimizer.register_step_pre_hook(self._drop_gradients)
        logger.info(f"Frozen for {self._iters} iterations: {', '.join(layers)}")

    def before_step(self) -> None:
        """Freezes the norms, or lets them learn again once the iterations are over."""
        if self.trainer.iter <= self._iters:
            for norm in self._norms:
                norm.train(self.trainer.iter == self._iters)

    def _drop_gradients(self, *_: object) -> None:
        if self.trainer.iter < self._iters:
            for parameter in self._parameters:
                parameter.grad = None


class StatisticsHook(HookBase):
    """Shares the statistics after every epoch, before it is saved and evaluated and the next refresh."""

    def after_epoch(self) -> None:
        """Waits for all ranks."""
        share_batch_statistics(self.trainer.model)


class CheckpointHook(HookBase):
    """Saves every so many epochs and at the end.

    Unlike the host's, it keeps no "best" epoch: the test set would pick that, and its metrics would be too good.
    """

    def __init__(self, period: int) -> None:
        """Epochs between two checkpoints."""
        self._period = period

    def after_epoch(self) -> None:
        """Saves ``model_NNNN`` by the number of the epoch, from 0, and ``model_final`` after the last; collective."""
        epoch = self.trainer.epoch
        if epoch + 1 == self.trainer.max_epoch:
            self.trainer.save_checkpoint(FINAL)
        elif (epoch + 1) % self._period == 0:
            self.trainer.save_checkpoint(f"model_{epoch:04d}")


class EvaluationHook(HookBase):
    """Evaluates every so many epochs and after the last, and what an interrupted run was about to evaluate."""

    def __init__(self, cfg: Any) -> None:
        """With TEST.EVAL_PERIOD, 0 or less for never, and EVAL_AT_START, which the last table compares with."""
        self._period: int = cfg.TEST.EVAL_PERIOD
        self._at_start: bool = cfg.TEST.EVAL_AT_START
        # It tells what has been evaluated.
        self._record = Path(cfg.OUTPUT_DIR) / "metrics.json"

    def _is_due_after(self, epoch: int) -> bool:
        done = epoch + 1
        return self._period > 0 and (done % self._period == 0 or done == self.trainer.max_epoch)

    def before_train(self) -> None:
        """Evaluates at the start; or, if it is due, the checkpoint that the run goes on from and had not evaluated."""
        start = self.trainer.start_iter
        at_its_end = start > 0 and start % self.trainer.iters_per_epoch == 0
        if start == 0 and self._at_start:
            self._evaluate(BEFORE_TRAINING)
        elif at_its_end and self._is_due_after(self.trainer.epoch):
            done = comm.all_gather(has_evaluation(self._record, start - 1))
            if not done[0]:
                self._record_evaluation()

    def after_epoch(self) -> None:
        """Evaluates if it is due; a run that is asked to end leaves it to whoever resumes it."""
        if self._is_due_after(self.trainer.epoch) and not self.trainer.stop.number:
            self._record_evaluation()

    def _record_evaluation(self) -> None:
        earlier = self._record.with_name(f"results_{BEFORE_TRAINING.replace(' ', '_')}.json")
        if self._at_start and not self.trainer.evaluations and earlier.is_file() and comm.is_main_process():
            # Of a run that goes on: what the last table compares with.
            self.trainer.evaluations[BEFORE_TRAINING] = dict(read_results(earlier).metrics)
        metrics = self._evaluate(f"epoch {self.trainer.epoch + 1}")
        self.trainer.storage.put_scalars(**metrics, smoothing_hint=False)

    def _evaluate(self, label: str) -> dict[str, float]:
        metrics: dict[str, float] = self.trainer.test(self.trainer.cfg, self.trainer.model, label)
        if comm.is_main_process():
            self.trainer.evaluations[label] = metrics
        # What ranking took is of another size than a step takes.
        torch.cuda.empty_cache()
        comm.synchronize()
        return metrics


class ConsoleHook(HookBase):
    """Tells once a period and after every epoch, before what then takes long: a checkpoint, an evaluation."""

    def __init__(self, batch_size: int, period: int) -> None:
        """Clips in a global batch; iterations between two lines, and between two readings of the losses."""
        self._batch_size = batch_size
        self._period = period

    def after_step(self) -> None:
        """Records training clips a second over all processes, and logs a line, once a period.

        Only the step that reads the losses waits for the device: the mean over a period is the true time of a step,
        while that of a single one may be the time to queue it. The first period tells no rate: workers start, the first
        steps compile and choose algorithms, and the time left would be several times too long.
        """
        if (self.trainer.iter + 1) % self._period == 0:
            storage = self.trainer.storage
            # The host's timer leaves out the first few steps.
            times = storage.histories().get("time")
            if times is not None and len(times.values()) >= self._period:
                rate = self._batch_size / times.avg(self._period)
                storage.put_scalar("clips_per_second", rate)
            self._tell()

    def after_epoch(self) -> None:
        """Logs a line about the last iteration, if there has been none."""
        if self.trainer.iter % self._period:
            self._tell()

    def _tell(self) -> None:
        trainer = self.trainer
        logger.info(console_line(trainer.storage, trainer.max_iter, self._batch_size, trainer.device))
