import pytest
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from xreid_plugin.data.batches import clip_block, collate_clips
from xreid_plugin.data.tracklet import IMAGES, INDICES, TARGETS

SIZE = (6, 4)


def items(clips):
    return [{IMAGES: clip, TARGETS: 7 * number, INDICES: number} for number, clip in enumerate(clips)]


def random_block(clips=4, frames=3):
    return clip_block(clips, frames, SIZE).random_(256, generator=torch.manual_seed(0))


def assert_collated_as_by_torch(made):
    batch, expected = collate_clips(made), default_collate(made)
    assert batch.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(batch[key], value), key
        assert (batch[key].dtype, batch[key].stride()) == (value.dtype, value.stride()), key
    return batch[IMAGES]


def test_a_block_is_that_of_a_batch():
    block = clip_block(4, 3, SIZE)
    assert (block.shape, block.dtype) == ((4, 3, 3, *SIZE), torch.uint8)
    assert block.is_contiguous()


def test_clips_of_one_block_are_not_copied():
    block = random_block()
    assert assert_collated_as_by_torch(items(block)).data_ptr() == block.data_ptr()


def test_a_part_of_a_block_is_not_copied():
    block = random_block()
    assert assert_collated_as_by_torch(items(block[1:3])).data_ptr() == block[1].data_ptr()
    assert assert_collated_as_by_torch(items(block[3:])).data_ptr() == block[3].data_ptr()


@pytest.mark.parametrize(
    "arrange",
    [
        lambda block: [clip.clone() for clip in block],
        lambda block: list(block.flip(0).flip(0)[[1, 0, 2, 3]]),
        lambda block: [block[1], block[0]],
        lambda block: [block[0], block[2]],
        lambda block: [block[0], block[0]],
        lambda block: [block[0], block[1], random_block()[2]],
        lambda block: list(block.transpose(-1, -2)),
        lambda block: list(block.transpose(0, 1)),
        lambda block: [block[0], block.view(torch.int8)[1].view(torch.uint8)],
    ],
    ids=["apart", "shuffled copy", "reversed", "gap", "twice", "two blocks", "turned", "interleaved", "cast"],
)
def test_clips_wherever_they_lie_are_collated_as_by_torch(arrange):
    assert_collated_as_by_torch(items(arrange(random_block())))


def test_items_without_a_batch_of_their_own_have_their_shapes_checked():
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        collate_clips(items([torch.zeros(3, 3, *SIZE), torch.zeros(4, 3, *SIZE)]))


class Blocks(Dataset):
    """Items of a batch in one block; tells in TARGETS whether the block is shared memory."""

    def __len__(self):
        return 8

    def __getitems__(self, positions):
        block = clip_block(len(positions), 2, SIZE)
        shared = int(block.is_shared())
        return [
            {IMAGES: clip.fill_(position), TARGETS: shared, INDICES: position}
            for clip, position in zip(block, positions, strict=True)
        ]


# Of no account here: a machine of one core, and a Python that would rather not fork.
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_blocks_of_workers_are_in_shared_memory_from_the_start(workers):
    batches = list(DataLoader(Blocks(), batch_size=4, num_workers=workers, collate_fn=collate_clips))
    for start, batch in zip((0, 4), batches, strict=True):
        expected = torch.arange(start, start + 4)
        assert torch.equal(batch[INDICES], expected)
        assert torch.equal(batch[IMAGES], expected.view(4, 1, 1, 1, 1).expand(4, 2, 3, *SIZE))
        assert batch[TARGETS].tolist() == [int(workers > 0)] * 4
