"""The tables of a bundle as bytes, and back, trusting nothing of what is read."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from refbench.errors import RefbenchError
from refbench.face_tables import HEAD_COLUMNS, HEADS, IDENTIFICATION, IDENTIFICATION_COLUMNS
from refbench.results import COLUMNS
from refbench.sharing.bundle import CELLS, SCORES

CELL_COLUMNS = [
    *(f"{kind}{what}" for kind in ("anonymizer", "attacker") for what in ("", "_params", "_version", "_origin")),
    "seed",
    "learner",
    "threat",
    "control",
    "floor",
    "status",
    "train_seconds",
    "train_memory_mb",
    "device",
    *(f"{figure}{end}" for figure in ("nearer", "copies", "collapse") for end in ("", "_low", "_high")),
    "copied",
]
SUBJECT_COLUMNS = ["subject", "session", "site", "part", "anonymizer", "outcome"]

NUMBERS = (
    "seed",
    "train_seconds",
    "train_memory_mb",
    *(f"{figure}{end}" for figure in ("nearer", "copies", "collapse") for end in ("", "_low", "_high")),
)

_TYPES = {
    "slice": pa.int64(),
    "seed": pa.int64(),
    "value": pa.float64(),
    "similarity": pa.float64(),
    "moved": pa.bool_(),
}
_SCHEMAS = {
    table: pa.schema([(name, _TYPES.get(name, pa.string())) for name in columns])
    for table, columns in ((SCORES, COLUMNS), (IDENTIFICATION, IDENTIFICATION_COLUMNS), (HEADS, HEAD_COLUMNS))
}
PARQUET = tuple(_SCHEMAS)
"""The tables of a bundle that are no CSV."""


def parquet_bytes(content: pd.DataFrame, name: str) -> bytes:
    """Parquet of plain columns, without the metadata that pandas adds.

    Not compressed, so that every text in it can be searched for, and no page unpacks to more than the file's size; the
    bundle is compressed as a whole.
    """
    # Not by way of pandas: undefined scores would become empty places, and take no bytes.
    schema = _SCHEMAS[name]
    arrays = [pa.array(content[field.name].to_numpy(), field.type, from_pandas=False) for field in schema]
    table = pa.Table.from_arrays(arrays, schema=schema)
    written = io.BytesIO()
    texts = [field.name for field in schema if field.name not in _TYPES]
    pq.write_table(table, written, compression="NONE", use_dictionary=texts, store_schema=False)
    return written.getvalue()


def read_parquet(content: bytes, name: str) -> pd.DataFrame:
    """Read what `parquet_bytes` wrote.

    Raises:
        RefbenchError: it is anything else: other columns or types, metadata, compression, more rows than bytes.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        schema = _SCHEMAS[name]
        if file.schema_arrow != schema or file.schema_arrow.metadata or file.metadata.metadata:
            raise RefbenchError(f"{name} has other columns, types or metadata than that of a run")
        # A value takes eight bytes: who claims more rows than that means to fill the memory.
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        plain = all(group.column(i).compression == "UNCOMPRESSED" for group in groups for i in range(len(schema)))
        if not plain or file.metadata.num_rows * 8 > len(content):
            raise RefbenchError(f"{name} is packed in a way that bundles never are; not read")
        table: pd.DataFrame = file.read().to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RefbenchError(f"{name} cannot be read ({error})") from error
    return table


def read_csv(content: bytes, name: str) -> pd.DataFrame:
    """Read `cells.csv` or `subjects.csv` as the run's own are read.

    Raises:
        RefbenchError: it is no table, or has other columns.
    """
    columns = CELL_COLUMNS if name == CELLS else SUBJECT_COLUMNS
    texts = {column: str for column in columns if column not in NUMBERS}
    try:
        table = pd.read_csv(
            io.BytesIO(content), keep_default_na=False, na_values=dict.fromkeys(NUMBERS, ""), dtype=texts
        )
    except ValueError as error:
        raise RefbenchError(f"{name} cannot be read ({error})") from error
    if list(table.columns) != columns:
        raise RefbenchError(f"{name} has other columns than a bundle's: {', '.join(map(str, table.columns))}")
    if any(table[column].dtype.kind not in "if" for column in NUMBERS if column in table):
        raise RefbenchError(f"{name} has words where numbers belong")
    return table
