"""The nearest gallery tracklets of a few queries, which of them are right, and strips of their frames."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from xreid_plugin.data.build import build_dataset, build_frame_reader
from xreid_plugin.data.tracklet import Modality
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.metrics import as_float32, cosine_distance, seen_pairs
from xreid_plugin.evaluation.ranking import RankingProtocol, rankings
from xreid_plugin.visualization.panels import Panel, Theme

Pick = Literal["spread", "best", "worst", "random"]
PICKS: tuple[str, ...] = get_args(Pick)
TITLES = {"I2V": "I2V: infrared queries, visible gallery", "V2I": "V2I: visible queries, infrared gallery"}
MARKS = {True: "✓", False: "✗"}  # right and wrong
MEANINGS = {True: "✓ solid: the same person", False: "✗ dashed: another person"}
# Measures of a strip, in widths of a frame.
_GAP, _QUERY_GAP, _HEADING, _CAPTION, _KEY, _MARK = 0.16, 0.5, 0.5, 0.42, 0.5, 0.16
_FRAME_INCHES, _LEAST_INCHES = 0.95, 7.0

# The middle frames of as many equal parts of a tracklet, (number, H, W, 3) uint8, RGB, by its row and the number.
Frames = Callable[[int, int], NDArray[np.uint8]]


class RankList(NamedTuple):
    """One query and the n gallery tracklets nearest to it, without those that the same-camera protocol hides.

    Attributes:
        query: row of the features.
        found: (n,) int64, rows of the features, the nearest first.
        right: (n,) bool, whether they are of the query's identity.
        similarities: (n,) float32, cosines, -1..1.
        first_match: the best place of a right one in the whole ranking, from 1; it may lie below those shown.
        average_precision: of the whole ranking, 0..1.
    """

    query: int
    found: NDArray[np.int64]
    right: NDArray[np.bool_]
    similarities: NDArray[np.float32]
    first_match: int
    average_precision: float


def rank_lists(
    data: TrackletFeatures, count: int, depth: int, pick: Pick = "spread", seed: int = 0
) -> dict[str, list[RankList]]:
    """Ranks by the cosine distance and the features' same-camera protocol, without query expansion or re-ranking.

    Args:
        data: features of the test set.
        count: greatest number of queries of each direction; those without a match are left out.
        depth: greatest number of gallery tracklets in a list.
        pick: which queries by their average precision; "spread" goes from the best to the worst.
        seed: of the random choice.

    Returns:
        By direction, the best average precision first.

    Raises:
        ValueError: no query has a match, or features that are not finite.
    """
    same_camera = RankingProtocol.from_json(data.protocol).same_camera
    features = as_float32(data.features)
    lists: dict[str, list[RankList]] = {}
    for ranking in rankings(data, RankingProtocol(same_camera)):
        chosen = _choose(ranking.result.ap, count, pick, seed)
        queries, gallery = (np.array(side) for side in data.tasks[ranking.direction])
        queries = queries[chosen]
        distances = cosine_distance(features[queries], features[gallery]).cpu().numpy()
        labels = [values[side] for values in (data.pids, data.camids) for side in (queries, gallery)]
        found = zip(queries.tolist(), distances, *seen_pairs(*labels, same_camera=same_camera), chosen, strict=True)
        lists[ranking.direction] = []
        for query, row, seen, different, place in found:
            order = np.argsort(row, kind="stable")
            order = order[seen[order]]
            right, shown = ~different[order], order[:depth]
            facts = int(right.argmax()) + 1, float(ranking.result.ap[place])
            lists[ranking.direction].append(RankList(query, gallery[shown], right[:depth], 1 - row[shown], *facts))
    return lists


def _choose(precision: NDArray[np.float64], count: int, pick: Pick, seed: int) -> NDArray[np.int64]:
    """Places of queries, the best first."""
    order = np.argsort(-precision, kind="stable")
    order = order[~np.isnan(precision[order])]
    count = min(count, len(order))
    if pick == "spread":
        return order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)]
    if pick == "random":
        return order[np.sort(np.random.default_rng(seed).choice(len(order), count, replace=False))]
    return order[:count] if pick == "best" else order[len(order) - count :]


def frames_of(cfg: Any, data: TrackletFeatures) -> Frames:
    """A reader of the frames, of INPUT.SIZE_TEST, of the test tracklets in DATASETS.ROOT that features belong to.

    Raises:
        FileNotFoundError: the dataset is not there.
        ValueError: the features belong to other tracklets.
    """
    tracklets = build_dataset(cfg, str(data.protocol.get("dataset", cfg.DATASETS.TESTS[0]))).test
    names = tuple(tracklet.name for tracklet in tracklets)
    if data.pids.tolist() != [tracklet.pid for tracklet in tracklets] or (data.names or names) != names:
        raise ValueError(
            f"The features are of {len(data.pids)} tracklets, and not of the {len(tracklets)} of the test set in "
            "DATASETS.ROOT: give the dataset, and DATASETS.MIN_TRACKLET_LENGTH, that they were made with."
        )
    reader, size = build_frame_reader(cfg, "SIZE_TEST"), tuple(cfg.INPUT.SIZE_TEST)
    return lambda row, count: reader.read(tracklets[row], middles(len(tracklets[row].paths), count), size)


def middles(length: int, count: int) -> NDArray[np.int64]:
    """(count,) int64 in 0..length-1: the middle of each of ``count`` equal parts of ``length`` things."""
    return (2 * np.arange(count) + 1) * length // (2 * count)


def heading(ranked: RankList, data: TrackletFeatures) -> str:
    """The query and how well it does, in one line."""
    percent = f"{100 * ranked.average_precision:.0f}\N{NO-BREAK SPACE}%"
    who = tracklet_in_words(ranked.query, data).capitalize()
    return f"{who}: first match at place {ranked.first_match}; average precision {percent}"


def tracklet_in_words(row: int, data: TrackletFeatures) -> str:
    """Whom a row of the features shows, and where."""
    return f"person {data.pids[row]}, {Modality(int(data.modalities[row])).name.lower()} camera {data.camids[row]}"


def strips_panel(
    direction: str, lists: Sequence[RankList], data: TrackletFeatures, frames: Frames, per_tracklet: int = 1
) -> Panel:
    """One row per query: the query on the left, and its results beside it, right and wrong ones marked.

    Of a tracklet ``per_tracklet`` frames are shown, one below the other.
    """
    shown = {row for ranked in lists for row in (ranked.query, *ranked.found.tolist())}
    pictures = {row: np.concatenate(list(frames(row, per_tracklet))) for row in sorted(shown)}
    picture = pictures[lists[0].query]
    pitch = _HEADING + picture.shape[0] / picture.shape[1] + _CAPTION
    width, height = strip_width(max(len(ranked.found) for ranked in lists)), _KEY + len(lists) * pitch

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        for right, left in ((True, 0.0), (False, 2.15)):
            axes.text(left, _KEY / 2, MEANINGS[right], fontsize=9, color=theme.right if right else theme.wrong)
        axes.text(4.45, _KEY / 2, "below a frame: place and similarity (cosine)", fontsize=9)
        for number, ranked in enumerate(lists):
            top = _KEY + number * pitch + _HEADING
            axes.text(0, top - 0.14, heading(ranked, data), fontsize=10, fontweight="bold")
            _draw_picture(axes, 0, top, pictures[ranked.query], theme.ink, "query")
            results = zip(ranked.found.tolist(), ranked.right, ranked.similarities, strict=True)
            for place, (row, right, similarity) in enumerate(results, 1):
                left, colour = _QUERY_GAP - _GAP + place * (1 + _GAP), theme.right if right else theme.wrong
                caption = f"{place}.  {similarity:.2f}"
                _draw_picture(axes, left, top, pictures[row], colour, caption, "-" if right else "--")
                _draw_mark(axes, left, top, right, theme)
        axes.set(xlim=(-0.1, width / _FRAME_INCHES), ylim=(height, 0), aspect="equal", anchor="N")
        axes.set_axis_off()

    first = sum(bool(ranked.right[0]) for ranked in lists)
    return Panel(
        TITLES[direction],
        f"Rank lists of {len(lists)} queries, of which {first} have a tracklet of the same person in first place.",
        draw,
        height=height * width / (width / _FRAME_INCHES + 0.1),
        photographic=True,
    )


def strip_width(depth: int) -> float:
    """Inches that a strip of ``depth`` gallery tracklets should be wide, with space for the line above it."""
    return max(_LEAST_INCHES, _FRAME_INCHES * (1 + _QUERY_GAP + depth * (1 + _GAP)))


def _draw_picture(
    axes: Axes, left: float, top: float, picture: NDArray[np.uint8], colour: str, caption: str, line: str = "-"
) -> None:
    tall = picture.shape[0] / picture.shape[1]
    axes.imshow(picture, extent=(left, left + 1, top + tall, top), interpolation="none")
    axes.add_patch(Rectangle((left, top), 1, tall, fill=False, edgecolor=colour, linewidth=2.4, linestyle=line))
    axes.text(left + 0.5, top + tall + 0.09, caption, fontsize=9, ha="center", va="top")


def _draw_mark(axes: Axes, left: float, top: float, right: bool, theme: Theme) -> None:
    """A sign in the corner, which does not depend on seeing colours."""
    x, y = left + _MARK, top + _MARK
    axes.plot(x, y, "o", markersize=20, color=theme.right if right else theme.wrong, markeredgecolor=theme.paper)
    style: dict[str, Any] = {"fontsize": 9, "fontweight": "bold", "ha": "center", "va": "center_baseline"}
    axes.text(x, y, MARKS[bool(right)], color=theme.paper, **style)
