"""A gallery's embeddings and labels for other databases: NumPy, Parquet and DuckDB."""

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from xreid_plugin.files import replace_atomically
from xreid_plugin.gallery.records import Record
from xreid_plugin.gallery.store import Gallery

_ROWS_PER_GROUP = 8192


def export(args: argparse.Namespace) -> str:
    """Writes a gallery for other databases; their files have the tracklets in the order of its rows."""
    gallery, lines = Gallery(args.gallery), []
    args.to.mkdir(parents=True, exist_ok=True)
    for kind in dict.fromkeys(args.format):
        name, write = _FORMATS[kind]
        replace_atomically(args.to / name, lambda part, write=write: write(gallery, part))  # type: ignore[misc]
        lines.append(f"{args.to / name}: {(args.to / name).stat().st_size / 2**20:,.1f} MiB")
    return "\n".join(lines)


def _write_npy(gallery: Gallery, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, gallery.embeddings)


def _write_parquet(gallery: Gallery, path: Path) -> None:
    reader = _arrow(gallery)
    with _imported("pyarrow.parquet").ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def _write_duckdb(gallery: Gallery, path: Path) -> None:
    with _imported("duckdb").connect(str(path)) as connection:
        connection.register("batches", _arrow(gallery))
        connection.execute("CREATE TABLE tracklets AS SELECT * FROM batches")


def _arrow(gallery: Gallery) -> Any:
    """All tracklets as Arrow's record batches, so that neither writer nor reader holds more than some thousand."""
    arrow, dimensions = _imported("pyarrow"), gallery.manifest.dimensions
    text, whole, moment = arrow.string(), arrow.int64(), arrow.timestamp("us", tz="UTC")
    columns = {"id": whole, "embedding": arrow.list_(arrow.float32(), dimensions), "identity": text, "source": text}
    columns |= dict.fromkeys(("track", "camera", "modality"), text) | {"time": moment}
    schema = arrow.schema({**columns, "begins": arrow.float64(), "ends": arrow.float64(), "number": whole})

    def batches() -> Iterator[Any]:
        with tqdm(total=len(gallery), desc="Exporting", unit="tracklet", leave=False, disable=None) as bar:
            for start in range(0, len(gallery), _ROWS_PER_GROUP):
                embeddings = gallery.embeddings[start : start + _ROWS_PER_GROUP]
                records = gallery.records(range(start, start + len(embeddings)), strips=False)
                values: dict[str, Any] = {name: [getattr(r, name) for r in records] for name in Record._fields}
                values["id"] = range(start, start + len(records))
                values["embedding"] = arrow.FixedSizeListArray.from_arrays(arrow.array(embeddings.ravel()), dimensions)
                values["time"] = [None if time is None else round(time * 1e6) for time in values["time"]]
                yield arrow.record_batch([arrow.array(values[field.name], field.type) for field in schema], schema)
                bar.update(len(records))

    return arrow.RecordBatchReader.from_batches(schema, batches())


_FORMATS = {
    "npy": ("embeddings.npy", _write_npy),
    "parquet": ("tracklets.parquet", _write_parquet),
    "duckdb": ("gallery.duckdb", _write_duckdb),
}


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"The export needs {name}: pip install pyarrow duckdb.") from error
