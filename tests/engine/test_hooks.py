from types import SimpleNamespace

import pytest
import torch
from fastreid.engine.hooks import LRScheduler
from fastreid.utils.events import EventStorage

from tests.data.small_set import small_config
from xreid_plugin.engine.hooks import ConsoleHook, RateHook
from xreid_plugin.engine.trainer import XReIDTrainer


@pytest.mark.parametrize("layers", ['["heads"]', '["backbone", "heads.classifier"]'])
def test_any_layers_may_be_frozen(small_set, tmp_path, layers):
    freeze = ["MODEL.FREEZE_LAYERS", layers, "SOLVER.FREEZE_ITERS", "99", "TEST.EVAL_PERIOD", "0"]
    trainer = XReIDTrainer(small_config(small_set, tmp_path, *freeze, "TEST.EVAL_AT_START", "False"))
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    moving = {name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])}
    assert moving
    assert not any(name.startswith("heads" if layers == '["heads"]' else "backbone") for name in moving)


def test_the_slow_first_period_tells_no_rate():
    hook = ConsoleHook(batch_size=8, period=4)
    with EventStorage() as storage:
        storage.epoch = 0
        hook.trainer = SimpleNamespace(storage=storage, max_iter=8, device=torch.device("cpu"))
        for step in range(8):
            hook.trainer.iter = storage.iter = step
            storage.put_scalars(total_loss=1.0, lr=0.1)
            # The host's timer leaves out the first two.
            if step >= 2:
                storage.put_scalar("time", 60.0 if step < 4 else 0.5)
            hook.after_step()
        assert storage.history("clips_per_second").values() == [(16.0, 7)]


def test_rates_are_the_hosts_and_the_scale_is_read_in_the_warm_up_alone():
    def run(kind):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
        schedules = {
            name: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5) for name in ("warmup_sched", "lr_sched")
        }
        hook, reads = kind(optimizer, schedules), []
        # The scale changes within the second step, which does not count.
        scaler = SimpleNamespace(get_scale=lambda: reads.append(None) or (4 if hook.trainer.iter < 1 else len(reads)))
        with EventStorage() as storage:
            hook.trainer = SimpleNamespace(storage=storage, grad_scaler=scaler, warmup_iters=3, delay_epochs=0)
            for step in range(8):
                hook.trainer.iter, hook.trainer.epoch, storage.iter = step, step // 4, step
                hook.before_step()
                optimizer.step()
                hook.after_step()
                if step % 4 == 3:
                    hook.after_epoch()
            return storage.history("lr").values(), len(reads)

    (ours, our_reads), (hosts, host_reads) = run(RateHook), run(LRScheduler)
    assert ours == hosts
    assert len({rate for rate, _ in ours}) == 3
    assert our_reads == 6 < host_reads
