"""A gallery for other databases: NumPy and Parquet, which most import, and DuckDB, which can search by itself.

  embeddings.npy     (n, F) float32, rows of length 1
  tracklets.parquet  id, embedding (a list of F float32), identity, source, camera, time (UTC), frames (JSON)
  gallery.duckdb     table tracklets: the same columns, embedding as FLOAT[F]

In DuckDB the ten nearest of a query, a list of F numbers of length 1, are

  SELECT id, identity, array_inner_product(embedding, $1::FLOAT[F]) AS score FROM tracklets ORDER BY score DESC LIMIT 10
"""

import importlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from tqdm import tqdm

from xreid_plugin.files import replace_atomically
from xreid_plugin.gallery.records import GalleryError
from xreid_plugin.gallery.store import Gallery

# What each format needs; DuckDB's table is made from Parquet.
LIBRARIES: dict[str, tuple[str, ...]] = {"npy": (), "parquet": ("pyarrow",), "duckdb": ("pyarrow", "duckdb")}
FORMATS = tuple(LIBRARIES)


def export(gallery: Gallery, folder: Path, formats: tuple[str, ...]) -> list[Path]:
    """Writes a gallery's tracklets, each file whole or not at all.

    Args:
        gallery: the gallery, in one state.
        folder: made if it does not exist; files of these names are replaced.
        formats: some of FORMATS.

    Returns:
        The files.

    Raises:
        GalleryError: a library is not installed.
    """
    writers: dict[str, tuple[str, Callable[[Gallery, Path], None]]] = {
        "npy": ("embeddings.npy", write_npy),
        "parquet": ("tracklets.parquet", write_parquet),
        "duckdb": ("gallery.duckdb", write_duckdb),
    }
    for library in (name for chosen in formats for name in LIBRARIES[chosen]):
        # Checked before any file is written.
        _import(library)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for chosen in formats:
        name, write = writers[chosen]
        replace_atomically(folder / name, lambda part, write=write: write(gallery, part))  # type: ignore[misc]
        written.append(folder / name)
    return written


def write_npy(gallery: Gallery, path: Path) -> None:
    """All embeddings in one array."""
    with path.open("wb") as file:
        shape = (len(gallery), gallery.manifest.dimensions)
        npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for _, block in gallery.rows.blocks(0, len(gallery)):
            file.write(np.ascontiguousarray(block, "<f4").tobytes())


def write_parquet(gallery: Gallery, path: Path) -> None:
    """A row group for some thousand tracklets, so that neither writer nor reader holds them all."""
    arrow, parquet = _import("pyarrow"), _import("pyarrow.parquet")
    dimensions = gallery.manifest.dimensions
    schema = arrow.schema(
        [
            ("id", arrow.int64()),
            ("embedding", arrow.list_(arrow.float32(), dimensions)),
            *((name, arrow.string()) for name in ("identity", "source")),
            ("camera", arrow.int64()),
            ("time", arrow.timestamp("us", tz="UTC")),
            ("frames", arrow.string()),
        ]
    )
    first = 0
    with (
        parquet.ParquetWriter(path, schema) as writer,
        tqdm(total=len(gallery), desc="Exporting", unit="tracklet", leave=False, disable=None) as bar,
    ):
        for segment in gallery.segments:
            place = 0
            for embeddings, lines in segment.batches():
                records = [segment.record(row) for row in range(place, place + len(lines))]
                columns: dict[str, Any] = {
                    "id": np.arange(first + place, first + place + len(lines)),
                    "embedding": arrow.FixedSizeListArray.from_arrays(arrow.array(embeddings.ravel()), dimensions),
                    "identity": [record.identity for record in records],
                    "source": [record.source for record in records],
                    "camera": [record.camera for record in records],
                    "time": [r.time if r.time is None else datetime.fromtimestamp(r.time, UTC) for r in records],
                    "frames": [json.dumps(json.loads(line)["frames"]) for line in lines],
                }
                writer.write_table(arrow.table(columns, schema=schema))
                place += len(lines)
                bar.update(len(lines))
            first += place


def write_duckdb(gallery: Gallery, path: Path) -> None:
    """A database with one table, made from Parquet."""
    duckdb = _import("duckdb")
    passing = path.with_name(f"{path.name}.parquet")
    try:
        write_parquet(gallery, passing)
        with duckdb.connect(str(path)) as connection:
            # Neither names nor numbers of columns come from outside; the path is a parameter.
            connection.execute(
                "CREATE TABLE tracklets AS SELECT * REPLACE "
                f"(embedding::FLOAT[{gallery.manifest.dimensions}] AS embedding) FROM read_parquet($1) ORDER BY id",
                [str(passing)],
            )
    finally:
        passing.unlink(missing_ok=True)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise GalleryError(
            f"The export needs {name}: pip install pyarrow duckdb, the optional dependencies 'export'."
        ) from error
