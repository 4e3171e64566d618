import pytest
from fastreid.data.datasets import DATASET_REGISTRY

from xreid_plugin.data.datasets.base import VideoCrossModalityDataset
from xreid_plugin.data.samplers import CrossModalityIdentitySampler, RandomTrackletSampler
from xreid_plugin.registry import LOSS_REGISTRY, SAMPLER_REGISTRY


@pytest.mark.parametrize("sampler", [CrossModalityIdentitySampler, RandomTrackletSampler])
def test_samplers_are_found_by_their_names(sampler):
    assert SAMPLER_REGISTRY.get(sampler.__name__) is sampler


@pytest.mark.parametrize("name", ["HITSZVCM", "BUPTCampus"])
def test_datasets_are_found_by_the_host(name):
    assert issubclass(DATASET_REGISTRY.get(name), VideoCrossModalityDataset)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "TripletLoss", "CPCL", "CMCL"])
def test_losses_are_found_by_their_names(name):
    assert callable(LOSS_REGISTRY.get(name))


@pytest.mark.parametrize("registry", [SAMPLER_REGISTRY, LOSS_REGISTRY])
def test_an_unknown_name_is_an_error_that_tells_the_registry(registry):
    with pytest.raises(KeyError, match=f"TrainingSampler.*{registry._name}"):
        registry.get("TrainingSampler")
