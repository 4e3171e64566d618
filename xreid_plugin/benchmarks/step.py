"""A training step, forward, backward and update, without reading data: plain float32 beside the fast paths.

The reference is the same model in eager float32, whose losses are read in every step. What is measured is ``STEPS``
steps in a row, since a step that is not read may still be running when the next begins.
"""

import itertools
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from fastreid.utils.events import EventStorage

from xreid_plugin.benchmarks.report import Case
from xreid_plugin.benchmarks.workload import device, make_batch, make_config, parse_clips, peak_flops
from xreid_plugin.comparison.cost import flops_of
from xreid_plugin.engine.optimizer import build_optimizer
from xreid_plugin.engine.step import TrainingStep
from xreid_plugin.host import build_model
from xreid_plugin.modeling.compilation import compile_blocks
from xreid_plugin.modeling.xreid import XReID

# The paper's on a GPU; what two cores do in seconds elsewhere.
SIZES_ON_GPU, SIZES_ON_CPU = ("16x10",), ("4x2",)
STEPS_ON_GPU, STEPS_ON_CPU = 20, 1
VARIANTS = {
    "bfloat16": {"bf16": True},
    "bfloat16, compiled": {"bf16": True, "compiled": True},
    "bfloat16, checkpointed": {"bf16": True, "checkpointed": True},
}


def cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """One case per size, "BxT" clips and frames, and way to be fast.

    Raises:
        ValueError: a size cannot be read.
    """
    on_gpu = device().type == "cuda"
    chosen = sizes or (SIZES_ON_GPU if on_gpu else SIZES_ON_CPU)
    steps = STEPS_ON_GPU if on_gpu else STEPS_ON_CPU
    return [
        Case(
            name=f"step, {name}",
            size=size,
            module=__name__,
            reference="plain",
            plugin="fast",
            arguments={"clips": clips, "frames": frames, "steps": steps, **options},
            against="eager float32",
            items=clips * steps,
            unit="clips",
        )
        for size in chosen
        for clips, frames in [parse_clips(size)]
        for name, options in VARIANTS.items()
    ]


def plain(clips: int, frames: int, steps: int, **_: bool) -> Callable[[], object]:
    """Eager float32; torch's own Adam."""
    return Steps(clips, frames, steps, period=1)


def fast(
    clips: int, frames: int, steps: int, bf16: bool = False, compiled: bool = False, checkpointed: bool = False
) -> Callable[[], object]:
    """The work as a run does it, with the keys SOLVER.AMP, MODEL.COMPILE and MODEL.BACKBONE.GRAD_CHECKPOINTING."""
    return Steps(clips, frames, steps, 50, bf16, compiled, checkpointed, fused=True)


class Steps:
    """Some steps in a row.

    Attributes:
        flops: floating-point operations of all steps; a backward pass counts twice a forward pass.
        peak_flops: operations a second that the device can do in bfloat16; 0 where that is not known.
    """

    def __init__(
        self,
        clips: int,
        frames: int,
        steps: int,
        period: int,
        bf16: bool = False,
        compiled: bool = False,
        checkpointed: bool = False,
        fused: bool = False,
    ) -> None:
        cfg = make_config(frames)
        cfg.MODEL.BACKBONE.GRAD_CHECKPOINTING = checkpointed
        torch.manual_seed(0)
        model = build_model(cfg).train()
        batch = make_batch(clips, frames)
        self.flops = 3 * steps * clips * flops_of(model.eval(), {k: v[:1] for k, v in batch.items()})
        self.peak_flops = peak_flops()
        precision = torch.autocast(device().type, torch.bfloat16) if bf16 else nullcontext()
        if compiled:
            compile_blocks(model, device(), precision)
        optimizer = build_optimizer(cfg, model) if fused else torch.optim.Adam(model.parameters(), lr=5e-6)
        scaler = torch.amp.GradScaler(device().type, enabled=False)
        self._steps = steps
        assert isinstance(model, XReID)
        assert model.prototypes is not None
        self._memory = model.prototypes
        self._trainer = TrainingStep(model, itertools.repeat(batch), optimizer, precision, scaler, period)
        self._trainer.iter = 0
        # Entered for good: the process does nothing else.
        EventStorage(0).__enter__()
        self()

    def __call__(self) -> None:
        """Runs the steps, and the prototypes' updates."""
        for _ in range(self._steps):
            self._trainer.run_step()
            self._memory.update()
            self._trainer.iter += 1
        self._trainer.read_losses()
