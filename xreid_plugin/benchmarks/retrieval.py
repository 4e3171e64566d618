"""The retrieval that ranking and re-ranking are measured on: features around random identities, and its size."""

from typing import NamedTuple

import torch
from torch.nn import functional as F

DEFAULT_SIZES = ("536x2422", "4584x5099")
CAMERAS = 12


class Retrieval(NamedTuple):
    """Unit features and labels of queries and gallery, all on the CPU."""

    q_features: torch.Tensor
    g_features: torch.Tensor
    q_pids: torch.Tensor
    g_pids: torch.Tensor
    q_camids: torch.Tensor
    g_camids: torch.Tensor


def parse_size(text: str) -> tuple[int, int]:
    """ "QxG" -> (Q, G).

    Raises:
        ValueError: it is not a size, or a number is below 1.
    """
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f'"{text}" is no size: write queries x gallery, such as 4584x5099')
    return int(parts[0]), int(parts[1])


def make_retrieval(queries: int, gallery: int, dimensions: int = 512) -> Retrieval:
    """As many tracklets per identity as in the test set of HITSZ-VCM (9,683 of 427), the same in every run."""
    generator = torch.Generator().manual_seed(0)
    count = queries + gallery
    identities = max(1, round(count * 427 / 9683))
    pids = torch.randint(identities, (count,), generator=generator)
    camids = torch.randint(CAMERAS, (count,), generator=generator)
    # Noise somewhat longer than the identity's own vector: distances within and between identities overlap.
    features = torch.randn(identities, dimensions, generator=generator)[pids]
    features = F.normalize(features + 1.2 * torch.randn(count, dimensions, generator=generator))
    return Retrieval(
        features[:queries], features[queries:], pids[:queries], pids[queries:], camids[:queries], camids[queries:]
    )
