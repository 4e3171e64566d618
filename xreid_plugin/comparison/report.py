"""The report of a comparison: report.md, results.csv, cmc.png and map.png in its folder."""

from collections.abc import Sequence
from pathlib import Path

from xreid_plugin.comparison.cost import Cost, cost_of_run
from xreid_plugin.comparison.plan import Run
from xreid_plugin.comparison.plots import plot_cmc, plot_map
from xreid_plugin.comparison.results import Row, protocol_differences, rows_of
from xreid_plugin.comparison.run import last_line
from xreid_plugin.comparison.tables import cost_table, csv_text, retrieval_table
from xreid_plugin.files import replace_atomically


def write_report(runs: Sequence[Run], output: Path, command: str) -> str:
    """Reads what the runs have written, measures each model once, and writes the report.

    Args:
        runs: the runs of the comparison, done or not.
        output: the comparison's folder.
        command: the command that made it, for the report.

    Returns:
        The report's Markdown.
    """
    rows = rows_of(runs, costs_of(runs))
    done = [row for row in rows if row.done]
    output.mkdir(parents=True, exist_ok=True)
    if done:
        plot_cmc(done, output / "cmc.png")
        plot_map(done, output / "map.png")
    text = markdown(rows, command)
    replace_atomically(output / "results.csv", lambda part: part.write_text(csv_text(rows)))
    replace_atomically(output / "report.md", lambda part: part.write_text(text))
    return text


def costs_of(runs: Sequence[Run]) -> dict[str, Cost]:
    """The cost of each configuration's model, by the configuration's name; measured on its first run that is done."""
    first: dict[str, Run] = {}
    for run in runs:
        if run.is_done:
            first.setdefault(run.name, run)
    return {name: cost_of_run(run.folder) for name, run in first.items()}


def markdown(rows: Sequence[Row], command: str) -> str:
    """The report as Markdown; it refers to the pictures beside it."""
    done = [row for row in rows if row.done]
    parts = ["# Comparison", f"Made by `{command}`.", "## Retrieval", retrieval_table(rows)]
    parts.append("In percent, of each run's last epoch: the mean over seeds, ± the deviation of the sample.")
    if any(row.missing for row in rows):
        parts.append("\n".join(["**Runs without results:**", "", *_failures(rows)]))
    differences = protocol_differences(rows)
    if differences:
        warning = "**These rows were evaluated under different protocols, and their figures may not be compared:**"
        parts.append("\n".join([warning, "", *(f"- {line}" for line in differences)]))
    elif done:
        parts.append("All rows were evaluated under one protocol: " + _protocol(done[0]) + ".")
    if done:
        parts += ["![CMC curves](cmc.png)", "![Mean average precision](map.png)"]
    parts += ["## Cost", cost_table(rows), _cost_note(done)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _failures(rows: Sequence[Row]) -> list[str]:
    return [f"- {run.name}, seed {run.seed}: {last_line(run)} (see {run.log})" for row in rows for run in row.missing]


def _protocol(row: Row) -> str:
    return ", ".join(f"{key} {value}" for key, value in row.protocol.items() if not isinstance(value, dict | list))


def _cost_note(done: Sequence[Row]) -> str:
    cost = next((row.cost for row in done if row.cost is not None), None)
    usage = next((row.usage for row in done if row.usage is not None), None)
    if cost is None or usage is None:
        return ""
    device = "the CPU" if cost.device == "cpu" else cost.device
    memory = "torch's on the GPU" if usage.on_gpu else "resident in the training process, without its loader's workers"
    threads = f", {cost.threads} threads" if cost.device == "cpu" else ""
    return (
        "Parameters are the whole model's, with what only training uses. A multiplication with its addition counts as "
        f"two FLOPs. Clips a second: embedding batches of {cost.batch} on {device}{threads}, the median of a few "
        f"passes. Peak memory: {memory}. Time and memory depend on the machine and on what else it is doing."
    )
