"""What is asked of a tree: options as plain mappings, as YAML would say them, and what they mean by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from judging.labels import SOURCE as WRITE_LABELS
from judging.transforms import SOURCE
from judging.trees import NUMBERS, WRITE_LINES, Tree

__all__ = ["STAGES", "Case", "FieldOption", "SamplesOption"]

_SOURCES = {"write_labels": WRITE_LABELS, "write_lines": WRITE_LINES}
STAGES = ("train", "val", "test", "predict")


def _several(value: Any) -> Any:
    """A list as a tuple, one of one entry as this entry, and anything else as it is."""
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(value) if len(value) > 1 else value[0]


@dataclass(frozen=True)
class SamplesOption:
    """How samples lie in a series."""

    kind: str = "rows"
    length: int | tuple[int, ...] = 1
    stride: int | tuple[int, ...] = 1
    dilation: int = 1
    axis: int | tuple[int, ...] = 0
    pad: str | None = None
    jitter: bool = False
    take: int | None = None

    @classmethod
    def of(cls, value: Mapping[str, Any] | None) -> SamplesOption:
        """The option of a mapping."""
        options = {name: _several(one) for name, one in (value or {}).items()}
        return cls(**{"kind": "windows" if "length" in options else "rows", **options})

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of a window; rows lie along the first one."""
        return self.axis if isinstance(self.axis, tuple) else (self.axis,)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Entries of a window along each axis."""
        return self._each(self.length)

    @property
    def strides(self) -> tuple[int, ...]:
        """Entries from one window to the next one along each axis."""
        return self._each(self.stride)

    def _each(self, value: int | tuple[int, ...]) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * len(self.axes)


@dataclass(frozen=True)
class FieldOption:
    """One entry of a sample; paths as a list."""

    paths: tuple[str, ...]
    attr: str | None = None
    steps: tuple[int, int] | None = None
    constant: bool = False
    members: tuple[str, ...] | None = None
    is_list: bool = False
    join: str = "last"
    dtype: str | None = None
    axis: int | tuple[int, ...] | None = None
    series_axis: int | None = None
    extra_rows: int = 0
    index: str | None = None
    ragged: str = "error"
    categories: bool | tuple[Any, ...] | None = None
    unknown: int | None = None

    @classmethod
    def of(cls, value: str | Mapping[str, Any]) -> FieldOption:
        """The option of a path or a mapping."""
        if isinstance(value, str):
            value = {"attr": value[5:]} if value.startswith("attr:") else {"path": value}
        options = dict(value)
        path, member = options.pop("path", ""), options.pop("member", None)
        steps = options.pop("steps", None)
        categories = options.pop("categories", None)
        return cls(
            paths=(path,) if isinstance(path, str) else tuple(path),
            members=None if member is None else (member,) if isinstance(member, str) else tuple(member),
            is_list=not isinstance(path, str) or not isinstance(member, (str, type(None))),
            steps=None if steps is None else tuple(steps),
            axis=_several(options.pop("axis", None)),
            categories=tuple(categories) if isinstance(categories, list) else categories,
            **options,
        )

    @classmethod
    def of_values(cls, name: str) -> FieldOption:
        """The values of a dataset, or of its column in brackets, as they are meant."""
        path, _, member = name.removesuffix("]").partition("[")
        return cls((path,), members=(member,) if member else None, categories=True)

    @property
    def padding_of(self) -> str | None:
        """The key whose padding this field tells."""
        return self._after("pad:")

    @property
    def length_of(self) -> str | None:
        """The key whose lengths this field tells."""
        return self._after("length:")

    @property
    def table_column(self) -> str | None:
        """The column of the table that it holds."""
        return self._after("table:")

    def _after(self, word: str) -> str | None:
        path = self.paths[0]
        return path.removeprefix(word) if self.attr is None and path.startswith(word) else None

    @property
    def derived_from(self) -> str | None:
        """The key whose padding or lengths this field tells."""
        return self.padding_of or self.length_of

    @property
    def has_rows(self) -> bool:
        """Whether its values differ from row to row."""
        return (
            self.attr is None
            and not self.constant
            and self.derived_from is None
            and self.table_column is None
        )

    @property
    def inherits_axes(self) -> bool:
        """Whether the axes of samples and series hold for it."""
        return self.axis is None and self.series_axis is None and not self.constant

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that it says itself."""
        return self.axis if isinstance(self.axis, tuple) else (self.axis or 0,)


@dataclass(frozen=True)
class Case:
    """A tree, what is asked of it, and what is done then.

    Args:
        tree: the files.
        fields: see `H5DataModule`.
        samples: see there.
        series: see there.
        split: see there.
        options: further options.
        world: ranks that share an epoch.
        steps: batches until a run is interrupted.
        where: see there.
        normalize: see there.
        table: see there; its path is that of a table of the tree.
        transform: name of a transform of `judging.transforms`, for all stages.
        features: what is used, for the table of a campaign.
    """

    tree: Tree
    fields: dict[str, Any]
    samples: dict[str, Any] | None = None
    series: dict[str, Any] | None = None
    split: dict[str, Any] = field(default_factory=lambda: {"val": None, "test": None})
    options: dict[str, Any] = field(default_factory=dict)
    world: int = 1
    steps: int = 1
    where: dict[str, Any] | None = None
    normalize: dict[str, Any] | None = None
    table: dict[str, Any] | None = None
    transform: str | None = None
    features: tuple[str, ...] = ()

    @property
    def field_options(self) -> dict[str, FieldOption]:
        """Key → field."""
        return {key: FieldOption.of(value) for key, value in self.fields.items()}

    @property
    def stage_samples(self) -> dict[str, SamplesOption]:
        """Stage → its samples: val falls back to train, test to val, predict to test."""
        given = self.samples or {}
        if not given or not set(given) <= set(STAGES):
            return dict.fromkeys(STAGES, SamplesOption.of(given))
        found: dict[str, SamplesOption] = {}
        last = SamplesOption.of(given["train"])
        for stage in STAGES:
            last = SamplesOption.of(given[stage]) if stage in given else last
            found[stage] = last
        return found

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of `H5DataModule` but the files."""
        names = ("fields", "samples", "series", "split", "where", "normalize", "table")
        found = {name: getattr(self, name) for name in names}
        return {**{name: value for name, value in found.items() if value is not None}, **self.options}

    def program(self) -> str:
        """A program that writes the files and sets the module up."""
        arguments = "".join(f"    {name}={value!r},\n" for name, value in self.arguments.items())
        code = self.tree.code()
        own = "".join(source for name, source in _SOURCES.items() if name in code)
        if self.transform is not None:
            own, arguments = own + SOURCE[self.transform], f"{arguments}    transform={self.transform},\n"
        return (
            "from __future__ import annotations\n"
            "import os, tempfile\nfrom math import inf, nan\nimport h5py, numpy as np, torch\n"
            "from h5lightning import H5DataModule\n"
            f"os.chdir(tempfile.mkdtemp())\n{NUMBERS}\n{own}\n{code}\n"
            f"dm = H5DataModule(\n    'data*.h5',\n{arguments}    provenance=True, index_dir='index',\n)\n"
            "dm.prepare_data(); dm.setup()\nprint(dm.summary())\n"
            "for batch in dm.train_dataloader():\n"
            "    print(dm.locate(batch['sample_id']), batch)\n"
        )

    def with_options(self, **options: Any) -> Case:
        """The same case with other further options."""
        return replace(self, options={**self.options, **options})
