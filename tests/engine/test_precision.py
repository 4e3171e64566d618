import pytest
import torch

from xreid_plugin.config import get_cfg
from xreid_plugin.engine.precision import autocast, gradient_scaler

# Half of the least number that float16 has.
SMALL_GRADIENT = torch.tensor(2.0**-25)


@pytest.mark.parametrize(
    ("enabled", "name", "dtype"),
    [
        (False, "bfloat16", torch.float32),
        (False, "float16", torch.float32),
        (True, "bfloat16", torch.bfloat16),
        (True, "float16", torch.float16),
    ],
)
def test_products_have_the_number_type_and_no_gradient_is_too_small_for_it(enabled, name, dtype):
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", enabled, "SOLVER.AMP.DTYPE", name])
    context, square = autocast(cfg), torch.eye(2)
    for _ in range(2):
        with context:
            assert (square @ square).dtype == dtype
        assert (square @ square).dtype == torch.float32
    scaled = gradient_scaler(cfg).scale(SMALL_GRADIENT)
    assert scaled.to(dtype) > 0
    assert torch.equal(scaled, SMALL_GRADIENT) == (dtype != torch.float16)
