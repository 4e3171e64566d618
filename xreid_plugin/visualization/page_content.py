"""All that the page about a run shows: tables and pictures, and why anything is missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from xreid_plugin.data.frame_reader import FrameError
from xreid_plugin.engine.config_checks import check_config
from xreid_plugin.evaluation.features import TrackletFeatures
from xreid_plugin.evaluation.protocol import RankingProtocol
from xreid_plugin.loader_errors import WorkerDiedError
from xreid_plugin.user_errors import message_of
from xreid_plugin.visualization.attention_maps import attention_maps, choose_pairs
from xreid_plugin.visualization.attention_panels import attention_panels
from xreid_plugin.visualization.cmc import cmc_panels
from xreid_plugin.visualization.curves import training_panels
from xreid_plugin.visualization.distances import distance_panels, pair_counts
from xreid_plugin.visualization.embedding import embedding_map
from xreid_plugin.visualization.embedding_panels import map_panels
from xreid_plugin.visualization.frame_source import FrameSource
from xreid_plugin.visualization.page_pictures import PageDirection, PagePicture, page_direction, page_picture
from xreid_plugin.visualization.page_tables import Headline, ResultTable, headlines, protocol_rows, result_tables
from xreid_plugin.visualization.panels import Panel
from xreid_plugin.visualization.rank_lists import rank_lists
from xreid_plugin.visualization.run_features import run_features
from xreid_plugin.visualization.run_folder import RunFolder
from xreid_plugin.visualization.trained_model import load_trained_model
from xreid_plugin.words import counted

Part = TypeVar("Part")


@dataclass(frozen=True)
class PageContent:
    """Everything, ready for the template.

    Attributes:
        title: the page's title.
        subtitle: model, data and length of training.
        headlines: figures of the last evaluation.
        tables: tables of results.
        protocol: (what, value) of the last evaluation.
        training: curves, and the CMC.
        embedding: maps and histograms.
        ranks: rank lists.
        attention: heat maps.
        missing: what was left out, and why.
        highlights: (key, value) that differ from the defaults.
        environment: (what, version).
        configuration: all of it, as YAML.
    """

    title: str
    subtitle: str
    headlines: list[Headline]
    tables: list[ResultTable]
    protocol: list[tuple[str, str]]
    training: list[PagePicture]
    embedding: list[PagePicture]
    ranks: list[PageDirection]
    attention: list[PagePicture]
    missing: list[str]
    highlights: list[tuple[str, str]]
    environment: list[tuple[str, str]]
    configuration: str


@dataclass(frozen=True)
class PageOptions:
    """What the user may choose.

    Attributes:
        features: file of features; None for the one that the run saved.
        make_features: where there is none, embed the test set, which takes as long as an evaluation.
        queries: number of rank lists of each direction.
        depth: number of gallery tracklets in each.
        people: number of people whose attention is shown.
        seed: the seed of all random choices.
    """

    features: Path | None = None
    make_features: bool = True
    queries: int = 5
    depth: int = 10
    people: int = 2
    seed: int = 0


def page_content(run: RunFolder, options: PageOptions, tell: Callable[[str], None] = print) -> PageContent:
    """Collects the page; what cannot be made because data are missing is named in ``missing`` instead.

    Args:
        run: the run that it is about.
        options: what the user has chosen.
        tell: takes a line about what may take long.
    """
    missing: list[str] = []
    # None leaves it to tqdm, which is quiet without a terminal.
    with tqdm(total=5, desc="Report", unit="part", leave=False, disable=None) as progress:

        def attempt(what: str, make: Callable[[], list[Part]]) -> list[Part]:
            try:
                return make()
            except (OSError, ValueError, KeyError, FrameError, WorkerDiedError) as error:
                missing.append(f"{what}: {message_of(error)}")
                return []
            finally:
                progress.update()

        panels = [*training_panels(run.history, run.evaluations), *cmc_panels(run.evaluations)]
        training = attempt("Curves", lambda: pictures(panels))
        features = attempt(
            "Map, distances and rank lists",
            lambda: [run_features(run, options.features, options.make_features, tell)],
        )
        embedding = attempt("Map and distances", lambda: [p for f in features for p in _embedding(f, options)])
        ranks = attempt("Rank lists", lambda: [d for f in features for d in _ranks(f, run, options)])
        attention = attempt("Attention", lambda: pictures(_attention(run, options)))
    return PageContent(
        title=run.path.resolve().name,
        subtitle=(
            f"{run.cfg.MODEL.META_ARCHITECTURE} on {', '.join(run.cfg.DATASETS.NAMES)}, "
            f"{epochs_in_words(run.epochs, run.cfg.SOLVER.MAX_EPOCH)}, seed {run.cfg.SEED}"
        ),
        headlines=headlines(run),
        tables=result_tables(run.evaluations),
        protocol=protocol_rows(run),
        training=training,
        embedding=embedding,
        ranks=ranks,
        attention=attention,
        missing=missing,
        highlights=run.highlights,
        environment=run.environment,
        configuration=run.cfg.dump(),
    )


def pictures(panels: Sequence[Panel]) -> list[PagePicture]:
    """Each panel drawn."""
    return [page_picture(panel) for panel in panels]


def epochs_in_words(done: int | None, planned: int) -> str:
    """How long the run was: "12 epochs", or "6 of 12 epochs" if it has not finished."""
    if done is None:
        return f"{counted(planned, 'epoch')} planned"
    return counted(planned, "epoch") if done >= planned else f"{done} of {counted(planned, 'epoch')}"


def _embedding(data: TrackletFeatures, options: PageOptions) -> list[PagePicture]:
    counts = pair_counts(data, RankingProtocol.from_json(data.protocol).same_camera)
    return pictures([*map_panels(embedding_map(data, options.seed)), *distance_panels(counts)])


def _ranks(data: TrackletFeatures, run: RunFolder, options: PageOptions) -> list[PageDirection]:
    rules = RankingProtocol.from_json(data.protocol)
    frames = FrameSource(run.cfg, data)
    found = []
    for direction in data.tasks:
        lists = rank_lists(data, direction, options.queries, options.depth, rules.same_camera, seed=options.seed)
        found.append(page_direction(direction, lists, data, frames))
    return found


def _attention(run: RunFolder, options: PageOptions) -> list[Panel]:
    cfg = run.trained_config
    check_config(cfg)
    try:
        trained = load_trained_model(cfg)
    except FileNotFoundError as error:
        command = f"python tools/report.py {run.path} MODEL.WEIGHTS FILE DATASETS.ROOT DIR"
        raise FileNotFoundError(f"{error} To draw it: {command}") from error
    return [
        panel
        for pair in choose_pairs(cfg, options.people, options.seed)
        for panel in attention_panels(pair, attention_maps(trained.model, pair, trained.has_cii))
    ]
