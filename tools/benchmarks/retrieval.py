"""Ranking and re-ranking on the CPU, beside fast-reid's functions and the forms of public code.

Shapes: Q queries, G gallery entries, N = Q + G.
"""

import importlib.util
import itertools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import fastreid.evaluation.rank
import numpy as np
import torch
from fastreid.utils.compute_dist import build_dist, compute_jaccard_distance
from numpy.typing import NDArray
from torch.nn import functional as F

from benchmarks.measure import Work
from benchmarks.report import Case, beside_floor, read_size
from xreid_plugin.evaluation.metrics import rank_metrics, rank_metrics_from_features
from xreid_plugin.evaluation.rerank import jaccard_distance

# Queries and gallery of BUPTCampus, I2V, and of HITSZ-VCM.
SIZES = ("536x2422", "4584x5099")
# The host's option for FAISS on the CPU.
CPU_SEARCH = 3
# fast-reid's documentation has its metrics compiled, for which Cython and a C compiler are needed.
COMPILED = importlib.util.find_spec("Cython") is not None and shutil.which("cc") is not None
# Their ways, written anew here.
VECTORISED, DENSE = "M3-ReID's way, NumPy", "public X-ReID code's way, NumPy"
FAST_REID = f"fast-reid, {'Cython' if COMPILED else 'Python'}"
# Built once; removed when the tool ends.
FOLDER = tempfile.TemporaryDirectory(prefix="rank-")


def ranking_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Per size, "QxG": metrics from distances and from features, beside fast-reid's and beside M3-ReID's way."""
    found = []
    for given, against in itertools.product(("distances", "features"), (FAST_REID, VECTORISED)):
        found += _cases(f"ranking, from {given}", rank, sizes, against, given, FOLDER.name)
    floors = {"distances": "all read once", "features": "a matrix product"}
    for case in [case for case in found if case.against == FAST_REID]:
        queries, gallery, _, given, _ = case.arguments
        found.append(beside_floor(case, floors[given], partial(rank_floor, queries, gallery, given)))
    return found


def rerank_cases(sizes: Sequence[str] | None = None) -> list[Case]:
    """Per size, "QxG", at k1 = 20 and k2 = 6: beside fast-reid's and beside the way of the public X-ReID code."""
    found = [case for against in ("fast-reid, FAISS", DENSE) for case in _cases("re-ranking", rerank, sizes, against)]
    for case in [case for case in found if case.against == DENSE]:
        found.append(beside_floor(case, "all pairs' products", partial(rerank_floor, *case.arguments[:2])))
    return found


def _cases(name: str, work: Any, sizes: Sequence[str] | None, against: str, *given: str) -> list[Case]:
    found = []
    for size in sizes or SIZES:
        numbers = read_size(size, "queries x gallery, such as 4584x5099")
        found.append(Case(name, size, work, (*numbers, against, *given), against, scale=sum(numbers)))
    return found


def rank(queries: int, gallery: int, against: str, given: str, folder: str, plainly: bool = False) -> Work:
    """Metrics from cosine distances, (Q, G), or from features; the reference's are (curve, AP, INP).

    What is compiled for the reference is kept in the folder, for other processes.
    """
    q_features, g_features, *labels = make_retrieval(queries, gallery)
    made = build_dist(q_features, g_features, "cosine") if given == "distances" else None
    if plainly:
        metrics = vectorised_metrics if against == VECTORISED else _host_metrics(folder)
        arrays = [values.numpy() for values in labels]
        return Work(lambda: metrics(build_dist(q_features, g_features, "cosine") if made is None else made, *arrays))
    if made is None:
        return Work(lambda: rank_metrics_from_features(q_features, g_features, *labels))
    return Work(lambda: rank_metrics(made, *labels))


def rank_floor(queries: int, gallery: int, given: str) -> Work:
    """Of features the bare product of all pairs; of distances one look at each."""
    q_features, g_features = make_retrieval(queries, gallery)[:2]
    if given == "features":
        return Work(lambda: q_features.numpy() @ g_features.numpy().T)
    made = torch.from_numpy(build_dist(q_features, g_features, "cosine"))
    return Work(lambda: made.amin(1))


def _host_metrics(folder: str) -> Callable[..., Any]:
    """fast-reid's metrics with its compiled extension where it can be built, else in Python."""
    if COMPILED:
        # Part of Cython; compiles what is imported from now on.
        compiler = importlib.import_module("pyximport")
        compiler.install(pyimport=False, build_dir=folder, setup_args={"include_dirs": np.get_include()})
        built = importlib.import_module("fastreid.evaluation.rank_cylib.rank_cy")
        return lambda *given: built.evaluate_cy(*given, 50)
    return lambda *given: fastreid.evaluation.rank.evaluate_rank(*given, use_cython=False)


def vectorised_metrics(
    distances: NDArray[Any], q_pids: NDArray[Any], g_pids: NDArray[Any], q_cams: NDArray[Any], g_cams: NDArray[Any]
) -> tuple[NDArray[Any], ...]:
    """A full argsort of all queries at once, then sums along it over what each may see, as M3-ReID does it."""
    order = np.argsort(distances, axis=1)
    same = g_pids[order] == q_pids[:, None]
    seen = ~(same & (g_cams[order] == q_cams[:, None]))
    hits = same & seen
    places, found = seen.cumsum(1), hits.cumsum(1)
    matched = hits.any(1)
    ap = (found / np.maximum(places, 1) * hits).sum(1) / np.maximum(found[:, -1], 1)
    inp = found[:, -1] / np.maximum((places * hits).max(1), 1)
    first = (places * hits + distances.shape[1] * ~hits).min(1)[matched]
    return (first[:, None] <= np.arange(1, 51)).mean(0), ap[matched], inp[matched]


def rerank(queries: int, gallery: int, against: str, plainly: bool = False) -> Work:
    """Jaccard distances, (Q, G); the host computes those of all pairs and cuts them."""
    features = torch.cat(make_retrieval(queries, gallery)[:2])
    if not plainly:
        return Work(lambda: jaccard_distance(features, queries))
    if against == DENSE:
        return Work(lambda: dense_jaccard(features.numpy(), queries))
    return Work(lambda: compute_jaccard_distance(features, search_option=CPU_SEARCH)[:queries, queries:])


def rerank_floor(queries: int, gallery: int) -> Work:
    """The bare product of all pairs, of queries and gallery alike."""
    features = torch.cat(make_retrieval(queries, gallery)[:2]).numpy()
    return Work(lambda: features @ features.T)


def dense_jaccard(features: NDArray[Any], queries: int, k1: int = 20, k2: int = 6) -> NDArray[Any]:
    """Zhong et al., CVPR 2017, as the public X-ReID code does it: all distances, partitioned rows, dense encodings."""
    squares = np.square(features).sum(1)
    distances = squares[:, None] + squares - 2 * features @ features.T
    nearest = np.argpartition(distances, range(k1), axis=1)[:, :k1]

    def reciprocal(row: int, k: int) -> NDArray[Any]:
        forward = nearest[row, :k]
        kept: NDArray[Any] = forward[(nearest[forward, :k] == row).any(1)]
        return kept

    encodings = np.zeros_like(distances)
    for row in range(len(features)):
        members = reciprocal(row, k1)
        halves = [reciprocal(member, round(k1 / 2) + 1) for member in members]
        joined = [half for half in halves if len(np.intersect1d(half, members)) > 2 / 3 * len(half)]
        columns = np.unique(np.concatenate([members, *joined]))
        weights = np.exp(-distances[row, columns])
        encodings[row, columns] = weights / weights.sum()
    encodings = np.stack([encodings[rows].mean(0) for rows in nearest[:, :k2]])
    having = [np.flatnonzero(column) for column in encodings.T]
    shared = np.zeros((queries, len(features)), np.float32)
    for row in range(queries):
        for column in np.flatnonzero(encodings[row]):
            rows = having[column]
            shared[row, rows] += np.minimum(encodings[row, column], encodings[rows, column])
    return 1 - shared[:, queries:] / (2 - shared[:, queries:])


def make_retrieval(queries: int, gallery: int, dimensions: int = 512) -> list[Any]:
    """Unit features (n, F), identities and cameras (n,) of queries and gallery, tensors, the same in every run.

    A feature is its identity's direction, half of its camera's, and noise: mAP lies near 0.5.
    """
    generator = torch.Generator().manual_seed(0)
    count = queries + gallery
    # As many tracklets of each as in the test set of HITSZ-VCM.
    identities = max(1, round(count * 427 / 9683))
    pids = torch.randint(identities, (count,), generator=generator)
    camids = torch.randint(12, (count,), generator=generator)
    people, cameras, noise = (
        F.normalize(torch.randn(rows, dimensions, generator=generator)) for rows in (identities, 12, count)
    )
    features = F.normalize(people[pids] + 0.5 * cameras[camids] + 2.5 * noise)
    return [part for values in (features, pids, camids) for part in values.split([queries, gallery])]
