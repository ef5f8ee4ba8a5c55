"""What a survey finds: all that is known before a split is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from h5lightning.core.arrays import Int64Array
from h5lightning.core.bits import Bits
from h5lightning.core.frozen import Frozen
from h5lightning.options import Whole
from h5lightning.planning.box_field import BoxField
from h5lightning.planning.catalog.catalog import Catalog
from h5lightning.planning.catalog.checksum_table import ChecksumTable
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.planning.catalog.row_values import RowValues
from h5lightning.planning.fields import Fields
from h5lightning.planning.index import SampleIndex
from h5lightning.planning.row_conditions import RowConditions
from h5lightning.planning.sampling import RowLayout
from h5lightning.planning.sampling.chunk_needs import ChunkLayout
from h5lightning.planning.sampling.chunk_rows import box_chunks, chunk_rows, rows_beside, rows_of_chunk
from h5lightning.planning.sampling.decoded_chunks import DecodedChunks
from h5lightning.planning.sections import Section, Sections
from h5lightning.planning.series.joined_files import JoinedFiles
from h5lightning.planning.splitting.given_split import GivenSeries
from h5lightning.planning.splitting.groups import Labels

__all__ = ["DataSurvey"]


@dataclass(frozen=True, slots=True, eq=False)
class DataSurvey(Frozen):
    """All that is known before a split is made: plain arrays, cheap to send to other ranks.

    Args:
        catalog: the contents of the files.
        sections: the samples of each stage, and the fields of a batch.
        predict_fields: the fields of a batch of ``files.predict``, which may lack some; None without such files.
        roles: positions of the files of each split, from a mapping of splits; None without a mapping.
        labels: the attribute that keeps units together, for each unit of the catalog, None for one that lacks it. A
            unit is a file, or each match of the ``*``. Of a column of the table, its value for each series. Or the
            values that keep rows together. None if neither was requested.
        scanned: number of files that were opened; the others were taken from the index.
        joined: which files go on where others end; None if the user joins none.
        checksums: verify the bytes of the files; None without ``access.verify``.
        given: the split of each series as the files list it, or a column of the table, with ``split.given``; or the
            names of those of all rows.
        conditions: what leaves rows out, with ``where``.
        table_remarks: sentences for the user about lines of the table that match nothing, and series without a line.
        has_line_series: whether lines of the table are series.
        rows_without_line: the rows that the table leaves out, numbered over the rows of all series; None for none.
    """

    catalog: Catalog
    sections: Sections
    predict_fields: Fields | None
    roles: dict[str, Int64Array] | None
    labels: Labels | None
    scanned: int
    checksums: ChecksumTable | None = None
    joined: JoinedFiles | None = None
    given: GivenSeries | RowValues | None = None
    conditions: RowConditions | None = None
    table_remarks: tuple[str, ...] = ()
    has_line_series: bool = False
    rows_without_line: Bits | None = None

    @property
    def index(self) -> SampleIndex:
        """The samples of training; in each other section, samples of the same files and series."""
        return self.sections["train"].index

    @property
    def fields(self) -> Fields:
        """The fields of a batch of training."""
        return self.sections["train"].fields

    @property
    def scanned_files(self) -> ScannedFiles:
        """The state of the files when they were scanned, for readers to compare."""
        return ScannedFiles(self.catalog, self.checksums)

    def with_classes(self, classes: Mapping[str, Sequence[str]]) -> DataSurvey:
        """The same with other categories of fields, such as those of a training; see `Fields.with_classes`."""
        predicted = self.predict_fields and self.predict_fields.with_classes(classes)
        return replace(self, sections=self.sections.with_classes(classes), predict_fields=predicted)

    def row_layout(self) -> RowLayout:
        """The rows that must be decoded together, in the field with most bytes."""
        rows = tuple(plan for plan in self.fields.row_fields if plan.kept is None)
        in_unit = (plan for plan in rows if plan.row_numbers.is_in_unit)
        largest = max(in_unit, key=lambda plan: plan.row_bytes, default=None)
        row_bytes = max(1, sum(plan.row_bytes for plan in rows))
        if largest is None:  # all fields have rows of an index, or in memory
            return RowLayout(np.ones(self.catalog.unit_count, np.int64), row_bytes)
        chunks = chunk_rows(self.catalog, largest, rows_beside)
        return RowLayout(chunks, row_bytes, box_chunks(self.catalog, rows))

    def decoded_chunks(self) -> DecodedChunks:
        """The chunks that training decodes."""
        row_bytes = self.row_layout().row_bytes
        layouts = self.chunk_layouts(self.sections["train"])
        return DecodedChunks(layouts, self.index.rows_of_units, row_bytes)

    def chunk_layouts(self, section: Section) -> tuple[ChunkLayout, ...]:
        """How chunks are decoded, for each column of the fields of a section that has chunks of several rows."""
        samples = section.index.samples
        if isinstance(samples, Whole):
            return ()  # samples share no chunks
        by_column: dict[tuple[str, str | None], ChunkLayout] = {}
        for plan in section.fields.row_fields:
            if not plan.row_numbers.is_in_unit or isinstance(plan, BoxField) or plan.kept is not None:
                continue  # it has few rows, which all series share; its chunks are decoded one by one; or none is read
            layout = ChunkLayout(chunk_rows(self.catalog, plan, rows_of_chunk), plan.row_bytes, plan.span)
            if (layout.chunk_rows > 1).any():
                known = by_column.get((plan.path, plan.member), layout)
                by_column[plan.path, plan.member] = layout.joined(known)
        return tuple(by_column.values())
