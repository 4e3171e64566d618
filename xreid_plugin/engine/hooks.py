"""What happens around the steps of a run: prototypes, throughput, checkpoints, the evaluation before the first step."""

from collections.abc import Callable
from typing import Any

from fastreid.engine.hooks import PeriodicWriter
from fastreid.engine.train_loop import HookBase
from fastreid.utils import comm
from fastreid.utils.checkpoint import Checkpointer

from xreid_plugin.data.tracklet import Modality
from xreid_plugin.engine.inference import extract_prototype_features
from xreid_plugin.host import DeviceLoader
from xreid_plugin.modeling.prototypes import PrototypeMemory
from xreid_plugin.modeling.xreid import XReID


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
            refresh_epochs: epochs between two refreshes.
            log_period: iterations between two records of the similarities, which wait for the device.
        """
        self._model = model
        self._memory = memory
        self._loader = loader
        self._refresh_epochs = refresh_epochs
        self._log_period = log_period

    def before_epoch(self) -> None:
        """Extracts z of every training tracklet, and makes the prototypes anew."""
        if self.trainer.epoch % self._refresh_epochs:
            return
        with self.trainer.autocast():
            features, targets, modalities = extract_prototype_features(self._model, self._loader)
        self._memory.refresh(features, targets, modalities)
        gap = (self._memory.of(Modality.INFRARED) * self._memory.of(Modality.VISIBLE)).sum(1).mean()
        # Between epochs the host's storage still stands at the last iteration, which is already written.
        self.trainer.storage.iter = self.trainer.iter
        self.trainer.storage.put_scalar("prototype/modality_cosine", gap.item(), smoothing_hint=False)

    def after_step(self) -> None:
        """Blends in the batch that the model has just seen."""
        similarity = self._memory.update()
        if similarity is not None and (self.trainer.iter + 1) % self._log_period == 0:
            self.trainer.storage.put_scalars(
                **{"prototype/own": similarity.own.item(), "prototype/cross": similarity.cross.item()}
            )


class WriterHook(PeriodicWriter):
    """The host's, except at the last step of an epoch, where it would come before the evaluation.

    A writer drops what arrives for an iteration it has already written, and so would drop the evaluation's figures;
    the host's writes after the epoch as well, which is late enough.
    """

    def after_step(self) -> None:
        """Writes once a period."""
        if (self.trainer.iter + 1) % self.trainer.iters_per_epoch:
            super().after_step()


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

    def __init__(self, checkpointer: Checkpointer, period: int, config: str) -> None:
        """
        Args:
            checkpointer: of the run.
            period: epochs between two checkpoints.
            config: the run's configuration as YAML, which a checkpoint carries.
        """
        self._checkpointer = checkpointer
        self._period = period
        self._config = config

    def after_epoch(self) -> None:
        """Saves ``model_NNNN`` by the number of the epoch, from 0, and ``model_final`` after the last."""
        epoch = self.trainer.epoch
        if epoch + 1 == self.trainer.max_epoch:
            self._checkpointer.save("model_final", epoch=epoch, config=self._config)
        elif (epoch + 1) % self._period == 0:
            self._checkpointer.save(f"model_{epoch:04d}", epoch=epoch, config=self._config)


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
        if self.trainer.start_epoch == 0:
            self._evaluate()
            comm.synchronize()
