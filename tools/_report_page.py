"""The page about a run: one HTML file that needs nothing else, no network and no script."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from fastreid.config import CfgNode
from numpy.typing import NDArray
from PIL import Image

from xreid_plugin.config import get_cfg
from xreid_plugin.engine.checkpoints import TRAINING_ONLY
from xreid_plugin.engine.evaluation import evaluate_test_set
from xreid_plugin.engine.restore import restore
from xreid_plugin.engine.setup import checkpoint_to_evaluate
from xreid_plugin.evaluation.evaluator import features_path
from xreid_plugin.evaluation.features import TrackletFeatures, load_features
from xreid_plugin.evaluation.results import dataset_title, protocol_title
from xreid_plugin.host.configuration import leaves
from xreid_plugin.modeling.fingerprint import fingerprint, weights_hash
from xreid_plugin.torch_files import NOTE
from xreid_plugin.user_errors import USER_ERRORS, message_of
from xreid_plugin.visualization.attention import attention_of_people
from xreid_plugin.visualization.curves import cmc_panels, training_panels
from xreid_plugin.visualization.embedding import map_panels, pair_counts, similarity_panels
from xreid_plugin.visualization.panels import DARK, LIGHT, Panel, data_uri, render, render_page
from xreid_plugin.visualization.rank_lists import MARKS, TITLES, frames_of, heading, rank_lists, tracklet_in_words
from xreid_plugin.visualization.run_folder import Evaluation, Series, ends_of, read_evaluations, read_history

_THUMB_SIZE = (192, 192)  # at most, in pixels
# The table that the host's log begins with lies between two such rules.
_ENVIRONMENT = re.compile(r"^-{5,}  -{5,}\n(.*?)^-{5,}  -{5,}$", re.DOTALL | re.MULTILINE)
# Keys about this machine, or without influence on the run's metrics.
_PLACES = ("OUTPUT_DIR", "DATASETS.ROOT", "DATASETS.PACK", "TEST.SAVE_FEATURES", "VERSION")


def page_content(
    folder: Path,
    overrides: list[str],
    *,
    features: Path | None = None,
    make_features: bool = True,
    queries: int = 5,
    depth: int = 10,
    people: int = 2,
    seed: int = 0,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Everything that the page shows, by the template's names; what cannot be made has a reason in "missing" instead.

    For folder and overrides see :func:`read_config`, for features :func:`given_features`; their errors are raised here,
    too. For make_features and tell see :func:`run_features`. There are rank lists of some queries of each direction,
    with some tracklets each, and the attention to some people; the seed is that of all random choices.
    """
    missing: list[str] = []

    def attempt(what: str, make: Callable[[], list[Any]]) -> list[Any]:
        try:
            return make()
        except USER_ERRORS as error:
            missing.append(f"{what}: {message_of(error)}")
            return []

    cfg, configuration = read_config(folder, overrides)
    evaluations, history = read_evaluations(folder), read_history(folder)
    ends = ends_of(evaluations)
    curves = [*training_panels(history, evaluations), *cmc_panels(ends)]
    if features is not None:
        found = [given_features(cfg, features, evaluations)]
    else:
        found = attempt("Map, similarities and rank lists", lambda: [run_features(cfg, make_features, tell)])
    # That people are drawn is known from the evaluations.
    drawn = any(evaluation.results.protocol.get("drawn") for evaluation in evaluations)
    return {
        "name": folder.resolve().name,
        "model": cfg.MODEL.META_ARCHITECTURE,
        "trained_on": dataset_title({"dataset": ", ".join(cfg.DATASETS.NAMES), "drawn": drawn}),
        "length": length(cfg, evaluations, history),
        "seed": cfg.SEED,
        "ends": ends,
        "features_of": "".join(_whose(f, cfg, evaluations) for f in found),
        "tables": tables_of(evaluations),
        "training": _pictures(curves),
        "embedding": attempt(
            "Map and similarities",
            lambda: _pictures([p for f in found for p in (*map_panels(f, seed), *similarity_panels(pair_counts(f)))]),
        ),
        "ranks": attempt("Rank lists", lambda: [part for f in found for part in _ranks(cfg, f, queries, depth, seed)]),
        "attention": attempt("Attention", lambda: _pictures(attention_of_people(cfg, people, seed))),
        "missing": missing,
        "highlights": highlights(cfg),
        "configuration": configuration,
        "environment": read_environment(folder),
    }


def page_text(content: dict[str, Any]) -> str:
    """The page as HTML; all text that does not come from the template is escaped."""
    headlines = [f"{direction}/{metric}" for direction in TITLES for metric in ("Rank-1", "mAP")]
    facts = {"headlines": headlines, "marks": {"right": MARKS[True], "wrong": MARKS[False]}}
    return render_page("report.html", **content, **facts)


def _pictures(panels: Sequence[Panel]) -> list[dict[str, str]]:
    """Each panel drawn alone, for light and for dark paper; the page writes its title."""
    pictures = []
    for panel in panels:
        kind, mime = ("webp", "webp") if panel.photographic else ("svg", "svg+xml")
        light, dark = (data_uri(render([panel], kind, theme, titles=False), mime) for theme in (LIGHT, DARK))
        pictures.append({"title": panel.title, "alt": panel.alt, "light": light, "dark": dark})
    return pictures


def _ranks(cfg: Any, data: TrackletFeatures, queries: int, depth: int, seed: int) -> list[dict[str, Any]]:
    """The rank lists of each direction, with a frame of each tracklet."""
    frames = frames_of(cfg, data)

    def thumb(row: int, **more: Any) -> dict[str, Any]:
        name = f", {data.names[row]}" if data.names else ""
        return {"image": _jpeg(frames(row, 1)[0]), "about": tracklet_in_words(row, data) + name, **more}

    directions = []
    for direction, found in rank_lists(data, queries, depth, seed=seed).items():
        lists = []
        for ranked in found:
            results = zip(ranked.found.tolist(), ranked.right, ranked.similarities, strict=True)
            thumbs = [thumb(row, right=bool(right), similarity=similarity) for row, right, similarity in results]
            lists.append({"heading": heading(ranked, data), "query": thumb(ranked.query), "found": thumbs})
        directions.append({"title": TITLES[direction], "lists": lists})
    return directions


def _jpeg(frame: NDArray[np.uint8]) -> str:
    picture, content = Image.fromarray(frame), io.BytesIO()
    picture.thumbnail(_THUMB_SIZE)
    picture.save(content, "JPEG", quality=82)
    return data_uri(content.getvalue(), "jpeg")


def read_config(folder: Path, overrides: list[str]) -> tuple[CfgNode, str]:
    """A run's configuration, with KEY VALUE pairs, such as where the dataset is on this machine, over its keys.

    Returns:
        The configuration, whose MODEL.WEIGHTS is the checkpoint to look into, if the pairs name one, and whose
        OUTPUT_DIR is the folder; and the same before the two were set, as YAML.

    Raises:
        OSError: it is not a run's folder.
        ValueError: an unknown key, or a file of another form.
    """
    config_file = folder / "config.yaml"
    if not config_file.is_file():
        raise FileNotFoundError(f"{config_file} is missing: expected the folder of a run, its OUTPUT_DIR.")
    cfg = get_cfg()
    cfg.merge_from_file(str(config_file))
    cfg.merge_from_list(overrides)
    configuration = cfg.dump()
    cfg.OUTPUT_DIR = str(folder)
    if "MODEL.WEIGHTS" not in overrides[::2] and (folder / NOTE).is_file():
        # The run's configuration names what it began with.
        cfg.MODEL.WEIGHTS = ""
    return cfg, configuration


def highlights(cfg: CfgNode) -> list[tuple[str, str]]:
    """(key, value) where a configuration differs from the plugin's defaults, except for paths on a machine."""
    usual = dict(leaves(get_cfg()))
    ours = [(key, str(value)) for key, value in sorted(leaves(cfg)) if key not in _PLACES]
    return [(key, value) for key, value in ours if key not in usual or value != str(usual[key])]


def length(cfg: CfgNode, evaluations: Sequence[Evaluation], history: Mapping[str, Series]) -> str:
    """How long a run was: "12 epochs", or "6 of 12 epochs" if it has not finished."""
    planned, per_epoch = cfg.SOLVER.MAX_EPOCH, cfg.SOLVER.ITERS_PER_EPOCH
    done = max((evaluation.epoch or 0 for evaluation in evaluations), default=0)
    if per_epoch:
        done = max(done, max(iterations[-1] for iterations, _ in history.values()) // per_epoch)
    return f"{planned} epochs" if done >= planned else f"{done} of {planned} epochs"


def tables_of(evaluations: Sequence[Evaluation]) -> list[tuple[str, list[Evaluation]]]:
    """All evaluations: those whose metrics may stand side by side, under a title, in their order."""
    groups: dict[tuple[str, bool, str], list[Evaluation]] = {}
    for evaluation in evaluations:
        groups.setdefault(evaluation.kind, []).append(evaluation)
    return [(group[0].title, group) for group in groups.values()]


def read_environment(folder: Path) -> list[tuple[str, str]]:
    """(what, version) of software and hardware, from the run's log; empty where it has none."""
    log = folder / "log.txt"
    table = _ENVIRONMENT.search(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else None
    rows = [line.partition("  ") for line in table[1].splitlines()] if table else []
    # Where a package lies on the machine is of no interest to a reader.
    return [(name.strip(), value.partition("@")[0].strip()) for name, _, value in rows]


def _whose(data: TrackletFeatures, cfg: CfgNode, evaluations: Sequence[Evaluation]) -> str:
    """Which model of the run features are of, under which protocol."""
    model = data.protocol.get("model")
    labels = (one.label for one in evaluations if one.results.model.get("fingerprint") == model)
    return f"{next(labels, None) or checkpoint_to_evaluate(cfg).name}: {protocol_title(data.protocol)}"


def given_features(cfg: CfgNode, file: Path, evaluations: Sequence[Evaluation]) -> TrackletFeatures:
    """Reads features of any model of the run: one that it evaluated, or the checkpoint that the page shows.

    Raises:
        OSError: there is no such file.
        ValueError: they are of another model, or do not say of which.
    """
    data = load_features(file)
    model = data.protocol.get("model")
    if model and model in [one.results.model.get("fingerprint") for one in evaluations if one.is_of_the_run]:
        return data
    with suppress(FileNotFoundError):
        restored, network, _ = restore(cfg, cfg.MODEL.DEVICE)
        if fingerprint(weights_hash(network, TRAINING_ONLY), restored) == model:
            return data
    whose = f"is of model {model[:12]}, which is none of" if model else "does not name its model, which may be none of"
    raise ValueError(
        f"--features: {file} {whose} {cfg.OUTPUT_DIR}: leave the option out, or draw the "
        "file by itself with tools/visualize.py."
    )


def run_features(cfg: CfgNode, make: bool, tell: Callable[[str], None]) -> TrackletFeatures:
    """Reads the features of the checkpoint that the page shows, or makes and keeps what an evaluation would save.

    Args:
        cfg: of the run, whose TEST.SAVE_FEATURES, or else features.npz, is read if it is of that checkpoint.
        make: whether to embed the first test set with the checkpoint where there is no such file.
        tell: is called with a line before that, which may take long.

    Raises:
        OSError: there are none, and they are not to be made or cannot be.
    """
    name, folder = cfg.DATASETS.TESTS[0], Path(cfg.OUTPUT_DIR)
    saved = folder / (features_path(cfg, name) or Path("features.npz")).name
    cfg, network, checkpoint = restore(cfg, cfg.MODEL.DEVICE)
    model, kept = fingerprint(weights_hash(network, TRAINING_ONLY), cfg), folder / f"features_{checkpoint.stem}.npz"
    for candidate in (saved, kept):
        if candidate.is_file() and (data := load_features(candidate)).protocol.get("model") == model:
            return data
    if not make:
        raise FileNotFoundError(f"no saved features are of {checkpoint.name}, and --no-features was given.")
    cfg = cfg.clone()
    cfg.merge_from_list(["TEST.SAVE_FEATURES", str(kept), "DATASETS.TESTS", (name,)])
    tell(f"no saved features are of {checkpoint.name}, so it embeds the test set now; --no-features goes without.")
    evaluate_test_set(cfg, network, name)
    return load_features(kept)
