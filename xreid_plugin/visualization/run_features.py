"""The features that a run's maps and rank lists are drawn from: those that it saved, or else its checkpoint's."""

from collections.abc import Callable
from pathlib import Path

from fastreid.config import CfgNode

from xreid_plugin.data.build import build_clip_loader, build_dataset
from xreid_plugin.engine.config_checks import check_config
from xreid_plugin.engine.inference import Embedder, evaluate
from xreid_plugin.engine.precision import autocast
from xreid_plugin.engine.restore import restore
from xreid_plugin.engine.setup import checkpoint_to_evaluate
from xreid_plugin.evaluation.evaluator import CrossModalityEvaluator
from xreid_plugin.evaluation.features import TrackletFeatures, load_features
from xreid_plugin.loader_errors import loader_errors_told
from xreid_plugin.visualization.run_folder import RunFolder
from xreid_plugin.words import counted

DEFAULT_FEATURES = "features.npz"


def run_features(run: RunFolder, file: Path | None, make: bool, tell: Callable[[str], None]) -> TrackletFeatures:
    """Reads the features of a run, or makes what an evaluation would save, and keeps it in the run's folder.

    What is made is named after its checkpoint, so that it is not taken for an evaluation's, and is remade if the
    checkpoint is newer.

    Args:
        run: the run whose TEST.SAVE_FEATURES, or else features.npz, is read.
        file: a file to read instead.
        make: whether to embed the first test set with the run's checkpoint where there is no file.
        tell: is called with a line before that, which may take long.

    Raises:
        FileNotFoundError: there are none, and they are not to be made or cannot be; names the command that makes them.
        ValueError: the file is of another form, or the configuration not the checkpoint's.
        FrameError: a frame is missing or cannot be decoded.
    """
    saved = file or run.path / Path(run.cfg.TEST.SAVE_FEATURES or DEFAULT_FEATURES).name
    if saved.is_file():
        return load_features(saved)
    command = (
        f"python tools/train_net.py --config-file {run.path}/config.yaml --eval-only OUTPUT_DIR {run.path} "
        f"TEST.SAVE_FEATURES {saved}"
    )
    cfg = run.trained_config
    cfg.DATASETS.TESTS = cfg.DATASETS.TESTS[:1]
    try:
        checkpoint = checkpoint_to_evaluate(cfg)
        kept = run.path / f"features_{checkpoint.stem}.npz"
        if not (kept.is_file() and kept.stat().st_mtime >= checkpoint.stat().st_mtime):
            if not make:
                raise FileNotFoundError("--no-features was given.")
            cfg.TEST.SAVE_FEATURES = str(kept)
            _embed(cfg, lambda count: tell(_announcement(run, count, checkpoint, kept)))
        return load_features(kept)
    except OSError as error:
        raise FileNotFoundError(
            f"there is no {saved}: {error} Where dataset and checkpoint are, this makes it: {command}"
        ) from error


def _announcement(run: RunFolder, count: int, checkpoint: Path, kept: Path) -> str:
    return (
        f"{run.path} has no saved features: embedding {counted(count, 'test tracklet')} with {checkpoint.name}, to be "
        f"kept in {kept.name}; --no-features goes without."
    )


def _embed(cfg: CfgNode, tell: Callable[[int], None]) -> None:
    check_config(cfg)
    # The model is only built where there is something to embed.
    dataset = build_dataset(cfg, cfg.DATASETS.TESTS[0])
    restored = restore(cfg, cfg.MODEL.DEVICE)
    evaluator = CrossModalityEvaluator(restored.cfg, dataset)
    loader = build_clip_loader(restored.cfg, evaluator.tracklets, restored.cfg.TEST.FRAMES)
    tell(len(evaluator.tracklets))
    with loader_errors_told():
        evaluate(Embedder(restored.model, cfg.TEST.FLIP.ENABLED, autocast(restored.cfg)), loader, evaluator)
