"""Schemas of datasets: chunked, a table, categories, a scalar, text."""

from h5lightning.planning.catalog.schema import DatasetSchema, Member

FRAMES = DatasetSchema(
    "a/frames",
    "<f4",
    (9, 4, 2),
    chunks=(3, 4, 2),
    filters=("shuffle", "deflate(4)"),
    storage="chunked",
    stored_bytes=123,
    missing_chunks=1,
)
TABLE = DatasetSchema("table", "compound", (5,), members=(Member("t", "<f8"), Member("id", "<i2")))
SPECIES = DatasetSchema("species", "|u1", (7,), categories=("cat", "dog"))
SCALAR = DatasetSchema("dt", "<f8", ())
TEXT = DatasetSchema("names", "variable-length text", (7,), refusal="holds text of variable length")
