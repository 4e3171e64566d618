"""Imports go one way, those within functions included."""

import ast
import graphlib
from pathlib import Path

MODULES = {".".join(p.with_suffix("").parts).removesuffix(".__init__"): p for p in Path("xreid_plugin").rglob("*.py")}
LAYERS = [
    *("registry files torch_files faiss_library extensions config version", "host", "data", "losses user_errors"),
    *("modeling", "evaluation checks", "engine", "host_programs predictor gallery visualization export"),
    *("comparison", "xreid_plugin"),
]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            of = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in of)


def test_no_import_leads_round_or_up():
    graph = {name: {other for other in imported(path) if other in MODULES} for name, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()
    rank = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
    parts = {name: f"{name}.{name}".split(".")[1] for name in MODULES}
    pairs = {(parts[name], parts[other]) for name, others in graph.items() for other in others}
    assert [pair for pair in pairs if rank[pair[0]] <= rank[pair[1]] and pair[0] != pair[1]] == []
