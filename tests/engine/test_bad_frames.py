import logging

import torch

from tests.ranks import run_on_two_ranks
from xreid_plugin.data.substitution import ClipFaults
from xreid_plugin.data.tracklet import FAULTS, IMAGES, INDICES
from xreid_plugin.engine.bad_frames import FaultCount, log_faults
from xreid_plugin.engine.passes import Progress
from xreid_plugin.host import DeviceLoader

CLIPS = [
    ClipFaults("A"),
    ClipFaults("B", frames=["b1", "b2"]),
    ClipFaults("C", dropped=["D"]),
    ClipFaults("B", frames=["b1"]),
]


def count(clips):
    faults = FaultCount()
    faults.add(clips)
    return faults


def test_faults_are_summed_up_in_one_line(caplog):
    with caplog.at_level(logging.WARNING):
        total = log_faults("Training, epoch 3", count(CLIPS))
        log_faults("Training, epoch 4", count(CLIPS[:1]))
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("Training, epoch 3: 3 bad frames in 1 tracklets were substituted, such as b1, b2; ")
    assert "1 tracklets without a readable frame were dropped: D." in line
    assert total.frames == 3


def test_what_is_kept_is_bounded_by_the_tracklets():
    faults = FaultCount()
    for number in range(1000):
        faults.add([ClipFaults("B", frames=[f"{number}.jpg"])])
    assert faults.frames == 1000
    assert list(faults.first) == [f"{number}.jpg" for number in range(5)]
    assert list(faults.tracklets) == ["B"]


def gathered(rank, folder):
    total = count(CLIPS[2 * rank : 2 * rank + 2]).of_all_ranks()
    return total.frames, list(total.tracklets), list(total.dropped), list(total.first)


def test_faults_of_all_ranks_are_added(tmp_path):
    assert run_on_two_ranks(gathered, tmp_path)[0] == (3, ["B"], ["D"], ["b1", "b2"])


class Blanks(torch.utils.data.Dataset):
    """Six clips, of which the even ones and the last two are blank."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        blank = index % 2 == 0 or index > 3
        return {IMAGES: torch.full((2,), index), INDICES: index, FAULTS: ClipFaults(dropped=[f"T{index}"], blank=blank)}

    @staticmethod
    def collate_fn(items):
        tensors = {IMAGES: torch.stack([i[IMAGES] for i in items]), INDICES: torch.tensor([i[INDICES] for i in items])}
        return {**tensors, FAULTS: [item[FAULTS] for item in items]}


def test_a_pass_is_without_blank_clips():
    progress = Progress(DeviceLoader(0, dataset=Blanks(), batch_size=2), "Refreshing")
    batches = list(progress)
    assert [batch[INDICES].tolist() for batch in batches] == [[1], [3]]
    assert [batch[IMAGES][:, 0].tolist() for batch in batches] == [[1], [3]]
    assert all(FAULTS not in batch for batch in batches)
    assert list(progress.tell().dropped) == [f"T{index}" for index in range(6)]
