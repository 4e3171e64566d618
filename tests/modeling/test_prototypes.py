import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from tests.ranks import run_on_two_ranks
from xreid_plugin.data.tracklet import Modality
from xreid_plugin.modeling.prototypes import PrototypeMemory

UPDATES = ("swap", "intra", "joint")
IR, VIS = int(Modality.INFRARED), int(Modality.VISIBLE)
DIM = 6


def make_memory(infrared, visible, momentum=0.2, update="swap"):
    memory = PrototypeMemory(*infrared.shape, momentum, update)
    memory.infrared.copy_(infrared)
    memory.visible.copy_(visible)
    return memory


def test_refresh_is_the_normalised_mean_of_an_identity_in_a_modality():
    memory = PrototypeMemory(3, 2, 0.1, "joint")
    clips = [
        ([4.0, 0.0], 0, IR),
        ([2.0, 4.0], 0, IR),  # mean (3, 2)
        ([0.0, 5.0], 0, VIS),
        ([1.0, 0.0], 2, VIS),
        ([7.0, 8.0], 2, VIS),  # mean (4, 4)
        ([-3.0, 4.0], 1, IR),
    ]
    features, targets, modalities = (torch.tensor(column) for column in zip(*clips, strict=True))
    memory.refresh(features, targets, modalities)
    ones = 1 / 2**0.5
    # Identity 1 has no visible tracklet and identity 2 no infrared one: each takes the other's prototype.
    assert_close(memory.infrared, torch.tensor([[3 / 13**0.5, 2 / 13**0.5], [-0.6, 0.8], [ones, ones]]))
    assert_close(memory.visible, torch.tensor([[0.0, 1.0], [-0.6, 0.8], [ones, ones]]))


def plain_update(memory, own_modality, features, targets, modalities, momentum, rule):
    """The method's update of one memory, with loops."""
    updated = memory.clone()
    for identity in range(len(memory)):
        lowest, hardest = None, None
        for feature, target, modality in zip(features, targets, modalities, strict=True):
            allowed = {"joint": True, "intra": modality == own_modality, "swap": modality != own_modality}[rule]
            if target != identity or not allowed:
                continue
            clip = feature / feature.norm()
            likeness = float((clip * memory[identity]).sum())
            if lowest is None or likeness < lowest:
                lowest, hardest = likeness, clip
        if hardest is not None:
            blended = momentum * memory[identity] + (1 - momentum) * hardest
            updated[identity] = blended / blended.norm()
    return updated


@settings(deadline=None, max_examples=60)
@given(
    clips=st.lists(st.tuples(st.integers(0, 4), st.sampled_from([IR, VIS])), min_size=1, max_size=16),
    rule=st.sampled_from(UPDATES),
    momentum=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    seed=st.integers(0, 999),
)
def test_update_is_the_plain_loop(clips, rule, momentum, seed):
    generator = torch.Generator().manual_seed(seed)
    infrared, visible = torch.nn.functional.normalize(torch.randn(2, 5, DIM, generator=generator), dim=-1)
    memory = make_memory(infrared, visible, momentum, rule)
    features = 3 * torch.randn(len(clips), DIM, generator=generator)
    targets, modalities = zip(*clips, strict=True)
    memory.observe(features, torch.tensor(targets), torch.tensor(modalities))
    similarity = memory.update()
    assert_close(memory.infrared, plain_update(infrared, IR, features, targets, modalities, momentum, rule))
    assert_close(memory.visible, plain_update(visible, VIS, features, targets, modalities, momentum, rule))
    for rows in (memory.infrared, memory.visible):
        assert_close(rows.norm(dim=1), torch.ones(5))
    absent = sorted(set(range(5)) - set(targets))
    assert torch.equal(memory.infrared[absent], infrared[absent])
    assert torch.equal(memory.visible[absent], visible[absent])
    cosines = {IR: [], VIS: []}
    for name, rows in ((IR, infrared), (VIS, visible)):
        for feature, target in zip(features, targets, strict=True):
            cosines[name].append(float(feature @ rows[target] / feature.norm()))
    own = [cosines[modality][row] for row, modality in enumerate(modalities)]
    cross = [cosines[1 - modality][row] for row, modality in enumerate(modalities)]
    assert_close(float(similarity.own), sum(own) / len(own), atol=1e-5, rtol=0)
    assert_close(float(similarity.cross), sum(cross) / len(cross), atol=1e-5, rtol=0)


def update_on_rank(rank, folder):
    held = torch.load(folder / "given.pt", weights_only=True)
    memory = make_memory(held["infrared"], held["visible"])
    for batch in held["batches"]:
        features, *labels = batch
        # What another device, adding in another order, would make of the same clips.
        memory.observe(features + rank * 1e-6, *labels)
        memory.update()
    return memory.state_dict()


@pytest.mark.slow
def test_two_processes_hold_the_memory_of_one(tmp_path):
    generator = torch.Generator().manual_seed(0)
    infrared, visible = torch.nn.functional.normalize(torch.randn(2, 4, DIM, generator=generator), dim=-1)
    batches = []
    for _ in range(3):
        features = torch.randn(12, DIM, generator=generator)
        targets = torch.randint(4, (12,), generator=generator)
        batches.append((features, targets, torch.tensor([IR, IR, IR, VIS, VIS, VIS] * 2)))
    torch.save({"infrared": infrared, "visible": visible, "batches": batches}, tmp_path / "given.pt")

    alone = make_memory(infrared, visible)
    for batch in batches:
        alone.observe(*batch)
        alone.update()
    for held in run_on_two_ranks(update_on_rank, tmp_path):
        assert torch.equal(held["infrared"], alone.infrared)
        assert torch.equal(held["visible"], alone.visible)
    assert not torch.equal(alone.infrared, infrared)
