"""The searches against a sorted distance matrix in double precision."""

import faiss
import numpy as np
import pytest
import torch

from xreid_plugin.evaluation import neighbours as module
from xreid_plugin.evaluation.neighbours import faiss_neighbours, neighbours, torch_neighbours

SEARCHES = {
    "automatic": neighbours,
    "faiss": faiss_neighbours,
    "torch": lambda features, k: torch_neighbours(features, k, "cpu"),
}
if torch.cuda.is_available():
    SEARCHES["torch on the GPU"] = lambda features, k: torch_neighbours(features, k, "cuda")
if faiss.get_num_gpus() > 0:
    SEARCHES["faiss on the GPU"] = lambda features, k: faiss_neighbours(features, k, gpu=0)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())
@pytest.mark.parametrize("k", [1, 5, 60])
def test_equals_a_full_sort(search, k, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ENTRIES", 60 * 13)
    features = np.random.default_rng(0).standard_normal((60, 8))
    distances = ((features[:, None] - features[None]) ** 2).sum(2)
    found = search(features, k)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.argsort(distances, axis=1)[:, :k])


def test_tensors_and_arrays_alike():
    features = np.random.default_rng(1).standard_normal((30, 4)).astype(np.float32)
    expected = neighbours(features, 3)
    np.testing.assert_array_equal(neighbours(torch.from_numpy(features).requires_grad_(), 3), expected)
    np.testing.assert_array_equal(neighbours(np.asfortranarray(features), 3), expected)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())
@pytest.mark.parametrize(
    ("features", "k", "message"),
    [
        (np.ones((4, 2)), 5, "k must lie in 1..4"),
        (np.ones((4, 2)), 0, "k must lie in 1..4"),
        (np.ones(4), 1, "must be"),
        (np.ones((0, 2)), 1, "must be"),
        (np.array([[0.0], [np.nan]]), 1, "feature 1 holds NaN"),
    ],
)
def test_bad_input(search, features, k, message):
    with pytest.raises(ValueError, match=message):
        search(features, k)


class SeveralGpus:
    """A FAISS that could use three GPUs, and says on which it was asked to put an index."""

    def __init__(self):
        self.asked = []
        self.IndexFlatL2 = faiss.IndexFlatL2
        self.StandardGpuResources = list

    def get_num_gpus(self):
        return 3

    def index_cpu_to_gpu(self, resources, device, index):
        self.asked.append(device)
        return index


@pytest.mark.parametrize(("device", "gpus"), [("cpu", []), ("cuda:1", [1]), ("cuda", [2])])
def test_no_gpu_is_taken_but_the_one_asked_for(device, gpus, monkeypatch):
    several = SeveralGpus()
    monkeypatch.setattr(module, "import_faiss", lambda: several)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    neighbours(np.eye(4), 2, device)
    assert several.asked == gpus


def test_faiss_is_imported_only_when_it_searches():
    assert not hasattr(module, "faiss")
