"""The published metrics of projects/XReID/published.yml: listed, and beside those of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tabulate import tabulate

if TYPE_CHECKING:
    from xreid_plugin.comparison.report import Row

PUBLISHED = Path(__file__).resolve().parents[1] / "projects/XReID/published.yml"
WAYS = ("I2V", "V2I")


def listed() -> str:
    """All tables, in Markdown."""
    parts = []
    for table in _read()["tables"]:
        number = f", table {table['table']}" if "table" in table else ""
        names = [f"{way} {name}" for way in WAYS for name in table["metrics"]]
        rows = [[row["method"], *row["I2V"], *row["V2I"], row.get("config", "")] for row in table["rows"]]
        headers = ["method", *names, "configuration"]
        found = tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=".1f", missingval="-")
        parts.append(f"{table['dataset']}{number} ({table['source']}), percent\n\n{found}\n")
    return "\n".join(parts)


def beside(done: Sequence["Row"]) -> str:
    """A Markdown table of the rows whose configuration has published metrics for their test set; empty without any.

    A set counts as a dataset's own if its lists name as many tracklets as a full copy's: synthetic sets and parts of a
    copy never do.
    """
    published, body = _read(), []
    for row in done:
        dataset = row.protocol.get("dataset")
        full = published["test_sets"].get(dataset)
        sets = row.protocol.get("sets", {})
        if full is None or any(
            sets.get(name, {}).get(modality, {}).get("listed") != count
            for name, counts in full.items()
            for modality, count in counts.items()
        ):
            continue
        config = row.done[0].config_file.resolve().with_suffix("").as_posix()
        for table in published["tables"]:
            for entry in table["rows"] if table["dataset"] == dataset else ():
                if config.endswith(f"/{entry.get('config')}"):
                    label = f"table {table['table']}, {entry['method']}"
                    ways = [way for way in WAYS if f"{way}/mAP" in row.metrics]
                    body += [[way, row.name, label, *_cells(row, way, table, entry)] for way in ways]
    headers = ["direction", "model", "published as", "Rank-1", "Rank-5", "Rank-20", "mAP"]
    return tabulate(body, headers=headers, tablefmt="pipe", disable_numparse=True) if body else ""


def _cells(row: "Row", direction: str, table: Mapping[str, Any], entry: Mapping[str, Any]) -> list[str]:
    published = dict(zip(table["metrics"], entry[direction], strict=True))
    cells = []
    for name in ("Rank-1", "Rank-5", "Rank-20", "mAP"):
        measured, there = row.metrics[f"{direction}/{name}"].mean, published.get(name)
        cells.append("-" if there is None else f"{measured:.1f} ({there:.1f}, {measured - there:+.1f})")
    return cells


def _read() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    return content
