"""What happens around the steps of a run: prototypes, throughput, frozen layers, checkpoints."""

import logging
import time
from collections.abc import Sequence

from fastreid.engine.hooks import LayerFreeze
from fastreid.engine.train_loop import HookBase
from torch import nn

from xreid_plugin.data.tracklet import Modality
from xreid_plugin.engine.inference import extract_sequences
from xreid_plugin.engine.run_checkpoints import FINAL
from xreid_plugin.host import DeviceLoader
from xreid_plugin.modeling.prototypes import PrototypeMemory
from xreid_plugin.modeling.xreid import XReID
from xreid_plugin.progress import duration

logger = logging.getLogger(__name__)

# Whoever reads the log need not be told of what takes no time.
TOLD_FROM_SECONDS = 2.0


class PrototypeHook(HookBase):
    """Refreshes the prototypes before an epoch and updates them after every backward pass (method: CPC)."""

    def __init__(
        self,
        model: XReID,
        memory: PrototypeMemory,
        loader: DeviceLoader,
        refresh_epochs: int,
        log_period: int,
    ) -> None:
        """
        Args:
            model: the X-ReID model, not wrapped.
            memory: its prototypes.
            loader: one clip of every training tracklet.
            refresh_epochs: epochs between two extractions of the prototypes; 0: one, before the first epoch.
            log_period: iterations between two records of the similarities, which wait for the device.
        """
        self._model = model
        self._memory = memory
        self._loader = loader
        self._refresh_epochs = refresh_epochs
        self._log_period = log_period

    def before_epoch(self) -> None:
        """Extracts the prototypes from every training tracklet, but not where a run goes on in mid-epoch."""
        first = self.trainer.iter == 0
        due = first or (self._refresh_epochs > 0 and self.trainer.epoch % self._refresh_epochs == 0)
        if not due or self.trainer.iter % self.trainer.iters_per_epoch:
            return
        start = time.perf_counter()
        with self.trainer.stop.interrupting(), self.trainer.autocast():
            sequences, targets, modalities = extract_sequences(self._model, self._loader)
        self._model.extract_prototypes(sequences, targets, modalities, fit_neck=first)
        gap = (self._memory.of(Modality.INFRARED) * self._memory.of(Modality.VISIBLE)).sum(1).mean()
        # Between epochs the host's storage still stands at the last iteration, which is already written.
        self.trainer.storage.iter = self.trainer.iter
        self.trainer.storage.put_scalar("prototype/modality_cosine", gap.item(), smoothing_hint=False)
        seconds = time.perf_counter() - start
        if seconds >= TOLD_FROM_SECONDS:
            logger.info(f"Prototypes: {len(sequences):,} tracklets refreshed in {duration(seconds)}")

    def after_step(self) -> None:
        """Blends in the batch that the model has just seen."""
        similarity = self._memory.update()
        if similarity is not None and (self.trainer.iter + 1) % self._log_period == 0:
            self.trainer.storage.put_scalars(
                **{"prototype/own": similarity.own.item(), "prototype/cross": similarity.cross.item()}
            )


class ThroughputHook(HookBase):
    """Records training clips a second, over all processes.

    Only the step that reads the losses waits for the device: the mean over a period is the true time of a step, while
    that of a single one may be the time to queue it.
    """

    def __init__(self, batch_size: int, period: int) -> None:
        """
        Args:
            batch_size: clips in a global batch.
            period: steps between two records, and between two readings of the losses.
        """
        self._batch_size = batch_size
        self._period = period

    def after_step(self) -> None:
        """Divides by what the host's timer found; it leaves out the first few steps."""
        histories = self.trainer.storage.histories()
        if (self.trainer.iter + 1) % self._period == 0 and "time" in histories:
            self.trainer.storage.put_scalar("clips_per_second", self._batch_size / histories["time"].avg(self._period))


class CheckpointHook(HookBase):
    """Saves every so many epochs and at the end.

    Unlike the host's, it keeps no "best" epoch: the test set would pick that, and its figures would be too good.
    """

    def __init__(self, period: int) -> None:
        """
        Args:
            period: epochs between two checkpoints.
        """
        self._period = period

    def after_epoch(self) -> None:
        """Saves ``model_NNNN`` by the number of the epoch, from 0, and ``model_final`` after the last; collective."""
        epoch = self.trainer.epoch
        if epoch + 1 == self.trainer.max_epoch:
            self.trainer.save_checkpoint(FINAL)
        elif (epoch + 1) % self._period == 0:
            self.trainer.save_checkpoint(f"model_{epoch:04d}")


class FreezeHook(LayerFreeze):
    """LayerFreeze for layers at any depth, such as a baseline's ``image_model.backbone``, that outlasts evaluations.

    Each evaluation or refresh puts the model back in train mode, so frozen layers are set to eval mode before every
    step.
    """

    def __init__(self, model: nn.Module, freeze_layers: Sequence[str], freeze_iters: int) -> None:
        """
        Args:
            model: of the run, wrapped or not.
            freeze_layers: full dotted names of modules, whose batch norms keep their statistics.
            freeze_iters: for how many iterations.
        """
        super().__init__(model, freeze_layers, freeze_iters)
        modules = dict(self.model.named_modules())
        self._layers = [modules[name] for name in freeze_layers if name in modules]
        for name in freeze_layers:
            if name not in modules:
                logger.warning(
                    f"MODEL.FREEZE_LAYERS: the model has no layer {name}, whose batch norms could be frozen."
                )

    def before_step(self) -> None:
        """Freezes the layers, or lets them learn again once the iterations are over."""
        super().before_step()
        if self.is_frozen:
            for layer in self._layers:
                layer.eval()

    def freeze_specific_layer(self) -> None:
        """Replaces the host's, which knows the model's own children alone."""
        self.is_frozen = True
        logger.info(f"Batch norms of {', '.join(self.freeze_layers)} are frozen for {self.freeze_iters} iterations")

    def open_all_layer(self) -> None:
        """Likewise."""
        for layer in self._layers:
            layer.train()
        self.is_frozen = False
        logger.info(f"Batch norms of {', '.join(self.freeze_layers)} are frozen no more")
