"""What the tables say: methods, tables with their rows and the paper's figures, data sets; read from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sparse_s4r.config_files import parse_yaml
from sparse_s4r.structures.errors import ConfigError
from tools.tables.measures import MEASURE_KEYS, PROTOCOLS

_FOLDER = Path(__file__).parent
REPOSITORY = _FOLDER.parents[1]
_Document = TypeVar("_Document", bound=BaseModel)


class Part(BaseModel):
    """A part of these files: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TableMethod(Part):
    """A method; methods.yaml says what each key means."""

    title: str
    kind: Literal["train", "scan", "lift", "vote", "stated"]
    config: str | None = None
    settings: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    labels: bool = False
    truth: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _whole(self) -> TableMethod:
        if (self.kind == "train") != (self.config is not None):
            raise ValueError(f"expected a config for kind train and for no other, got {self.kind} and {self.config}")
        if self.kind == "stated" and not self.note:
            raise ValueError("expected a note with the reason for kind stated, got none")
        return self

    def config_file(self) -> Path:
        """Its configuration file."""
        return REPOSITORY / str(self.config)

    def needs_truth(self, dataset: str) -> bool:
        """Whether training on ``dataset`` takes scenes with their truth."""
        return self.truth and dataset not in self.where

    def resolved_settings(self, dataset: str, names: Mapping[str, str]) -> list[str]:
        """Settings on ``dataset``; ``names`` gives the words in braces."""
        settings = [*self.settings, *self.more, *self.where.get(dataset, ())]
        for key, value in names.items():
            settings = [text.replace(f"{{{key}}}", value) for text in settings]
        return settings


class TableRow(Part):
    """A row: its method, and the paper's figures in percent per data set, in the order of the table's columns."""

    method: str
    paper: dict[str, tuple[float | None, ...]] = Field(default_factory=dict)


class Table(Part):
    """A table: headings by protocol.measure, and rows."""

    title: str
    columns: dict[str, str]
    paper_columns: dict[str, str] = Field(default_factory=dict)
    rows: tuple[TableRow, ...]

    @model_validator(mode="after")
    def _fits(self) -> Table:
        for column in self.columns:
            protocol, _, measure = column.partition(".")
            if protocol not in PROTOCOLS or measure not in MEASURE_KEYS:
                raise ValueError(f"columns: expected PROTOCOL.MEASURE of {PROTOCOLS} and {MEASURE_KEYS}, got {column}")
        if unknown := sorted(set(self.paper_columns) - set(self.columns)):
            raise ValueError(f"paper_columns: expected some of columns, got {unknown}")
        for row in self.rows:
            for dataset, figures in row.paper.items():
                if len(figures) != len(self.columns):
                    raise ValueError(
                        f"{row.method}: {dataset}: expected {len(self.columns)} figures, got {len(figures)}"
                    )
        return self

    @property
    def protocols(self) -> tuple[str, ...]:
        """Protocols of the columns, in their order."""
        return tuple(dict.fromkeys(column.partition(".")[0] for column in self.columns))


class Dataset(Part):
    """A data set; datasets.yaml says what each key means."""

    title: str
    taxonomy: str
    lists: dict[str, str] = Field(default_factory=dict)
    train: tuple[str, ...] = ()
    judge: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    layout: str = "auto"
    import_options: tuple[str, ...] = Field(default=(), alias="import")


class _Methods(Part):
    entries: dict[str, TableMethod]


class _Tables(Part):
    entries: dict[int, Table]


class _Datasets(Part):
    entries: dict[str, Dataset]


class TableSet(Part):
    """Methods, tables and data sets that fit together."""

    methods: dict[str, TableMethod]
    tables: dict[int, Table]
    datasets: dict[str, Dataset]

    @model_validator(mode="after")
    def _known(self) -> TableSet:
        for number, table in self.tables.items():
            for row in table.rows:
                if row.method not in self.methods:
                    raise ValueError(f"table {number}: expected a method of {list(self.methods)}, got {row.method}")
                if unknown := sorted(set(row.paper) - set(self.datasets)):
                    raise ValueError(f"table {number}: {row.method}: expected data sets that exist, got {unknown}")
        return self

    def needed(self, numbers: Sequence[int]) -> dict[str, tuple[str, ...]]:
        """Methods of some tables, each once, and the protocols by which it is judged."""
        found: dict[str, dict[str, None]] = {}
        for number in numbers:
            for row in self.tables[number].rows:
                if self.methods[row.method].kind != "stated":
                    found.setdefault(row.method, {}).update(dict.fromkeys(self.tables[number].protocols))
        return {method: tuple(protocols) for method, protocols in found.items()}


def load_tables(folder: Path = _FOLDER) -> TableSet:
    """Read methods.yaml, tables.yaml and datasets.yaml of ``folder``.

    Raises:
        ConfigError: A missing file, or one that breaks the rules that the files' heads state.
    """
    methods = _read(folder / "methods.yaml", _Methods).entries
    tables = _read(folder / "tables.yaml", _Tables).entries
    datasets = _read(folder / "datasets.yaml", _Datasets).entries
    return _checked(TableSet, {"methods": methods, "tables": tables, "datasets": datasets}, str(folder))


def _read(path: Path, kind: type[_Document]) -> _Document:
    if not path.is_file():
        raise ConfigError(f"{path}: expected a file of the tables, found none")
    return _checked(kind, {"entries": parse_yaml(str(path), path.read_bytes())}, str(path))


def _checked(kind: type[_Document], values: Mapping[str, object], source: str) -> _Document:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc'][1:])}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise ConfigError(f"{source}: " + "; ".join(lines)) from error
