"""Runs that are as if they had been executed, from metrics written by hand."""

import json

from xreid_plugin.comparison.runs import Run

LAST_EPOCH = 2
PROTOCOL = {"frames": "even", "size": [48, 24], "same_camera": "exclude"}


def planned(output, name="model", seed=0, settings="{}"):
    return Run(
        name=name,
        seed=seed,
        config_file=output / f"{name}.yml",
        folder=output / name / f"seed{seed}",
        settings=settings,
        last_epoch=LAST_EPOCH,
    )


def metrics(rank1, mean_precision, reranked=None):
    """Metrics of both directions, those of V2I one point above those of I2V."""
    values = {}
    for direction, more in (("I2V", 0), ("V2I", 1)):
        ranks = {f"{direction}/Rank-{rank}": rank1 + more + 5 * n for n, rank in enumerate((1, 5, 10, 20))}
        values |= {**ranks, f"{direction}/mAP": mean_precision + more, f"{direction}/mINP": 1.0}
        if reranked is not None:
            values[f"{direction}-reranked/mAP"] = reranked + more
    return values


def finished(output, name="model", seed=0, protocol=PROTOCOL, **values):
    run = planned(output, name, seed)
    run.folder.mkdir(parents=True)
    content = {"metrics": metrics(**values), "protocol": protocol, "curves": {}, "model": {}}
    for direction in ("I2V", "V2I"):
        start = content["metrics"][f"{direction}/Rank-1"]
        content["curves"][direction] = [start + rank for rank in range(20)]
    run.results.write_text(json.dumps(content))
    (run.folder / "usage.json").write_text(json.dumps({"seconds": 60.0 * (seed + 1), "peak_bytes": 2**30 * (seed + 1)}))
    cost = {"parameters": 1_500_000, "flops_per_clip": 2_000_000_000, "clips_per_second": 12.5}
    (run.folder / "cost.json").write_text(json.dumps(cost))
    return run
