import multiprocessing
import subprocess
import sys

import numpy as np
import pytest
import torch
from fastreid.data.transforms import functional, transforms
from fastreid.evaluation import ReidEvaluator
from fastreid.utils import comm
from fastreid.utils.compute_dist import build_dist
from PIL import Image

from xreid_plugin.config import get_cfg


def test_euclidean_distance_is_that_of_a_plain_loop():
    generator = torch.Generator().manual_seed(0)
    features, others = (torch.randn(size, 5, generator=generator, dtype=torch.float64) for size in (3, 4))
    expected = [[sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for y in others.tolist()] for x in features]
    distances = build_dist(features.requires_grad_(), others, "euclidean")
    assert distances.shape == (3, 4)
    np.testing.assert_allclose(distances, np.array(expected, dtype=float), rtol=1e-12)


@pytest.mark.parametrize(
    ("mode", "pixels", "expected"),
    [
        ("RGB", [[[1, 2, 3], [4, 5, 6]]], [[[1, 4]], [[2, 5]], [[3, 6]]]),
        ("RGBA", [[[1, 2, 3, 255], [4, 5, 6, 0]]], [[[1, 4]], [[2, 5]], [[3, 6]], [[255, 0]]]),
        ("L", [[7, 8], [9, 255]], [[[7, 8], [9, 255]]]),
        ("LA", [[[7, 1], [8, 2]]], [[[7, 8]], [[1, 2]]]),
    ],
)
def test_pictures_become_channels_first_floats(mode, pixels, expected):
    picture = Image.fromarray(np.array(pixels, dtype=np.uint8))
    assert picture.mode == mode
    # Both the name in the host's function module and the one that its transforms call.
    for tensor in (functional.to_tensor(picture), transforms.ToTensor()(picture)):
        assert tensor.dtype == torch.float32
        assert tensor.is_contiguous()
        assert tensor.tolist() == expected


@pytest.mark.parametrize(("mode", "value", "expected"), [("1", 1, 255), ("I;16", 4000, 4000), ("F", 0.25, 0.25)])
def test_pictures_of_other_depths_become_floats_too(mode, value, expected):
    tensor = functional.to_tensor(Image.new(mode, (3, 2), value))
    assert tensor.tolist() == [[[expected] * 3] * 2]
    assert tensor.dtype == torch.float32


def test_arrays_stay_as_the_host_takes_them():
    array = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert torch.equal(functional.to_tensor(array), torch.from_numpy(array.transpose(2, 0, 1)).float())


def test_the_evaluator_neither_compiles_nor_exits(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError(f"ran {args}")

    monkeypatch.setitem(sys.modules, "fastreid.evaluation.rank_cylib.rank_cy", None)
    monkeypatch.setattr(subprocess, "run", refuse)
    evaluator = ReidEvaluator(get_cfg(), num_query=2)
    # The first query finds its identity first, the second after the other one's; the host wants ten to choose from.
    features = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.0], [0.0, 1.0], *[[-1.0, 0.0]] * 8])
    batch = {"targets": torch.tensor([1, 2, 1, 2, *[3] * 8]), "camids": torch.tensor([1, 1, *[2] * 10])}
    evaluator.process(batch, features)
    results = evaluator.evaluate()
    assert results["Rank-1"] == pytest.approx(50)
    assert results["mAP"] == pytest.approx((1 + 1 / 2) / 2 * 100)


def gather_in_a_group(rank, store, queue):
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    # Messages of different lengths, so that the host has to pad and to cut again.
    queue.put((rank, comm.all_gather({"rank": rank, "text": "x" * (1 + 300 * rank)}), comm.gather([rank], dst=1)))
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_objects_travel_between_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    # Forked, so that neither pays for importing torch again; warnings are errors there as they are here.
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=gather_in_a_group, args=(rank, tmp_path / "store", queue)) for rank in (0, 1)]
    for process in processes:
        process.start()
    try:
        received = {rank: found for rank, *found in (queue.get(timeout=120) for _ in processes)}
    finally:
        for process in processes:
            process.join(timeout=30)
            process.kill()
    everything = [{"rank": 0, "text": "x"}, {"rank": 1, "text": "x" * 301}]
    assert received == {0: [everything, []], 1: [everything, [[0], [1]]]}
