"""The columns of a table in a file, with the types that MLflow has for them; only what is certain.

A wrong schema is worse than none: there is none for a file without a header, in another encoding
than UTF-8, or with rows of different lengths. A type is told where every row proves it, which needs
all rows; in a larger file its first rows give the names, and the type ``any``.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Column = dict[str, Any]  # as in MLflow's JSON of a schema: ``type``, ``name`` and ``required``

MAX_WHOLE_BYTES = 1024 * 1024  # of a text of which every row is looked at
_SAMPLE_BYTES = 64 * 1024
_MAX_COLUMNS = 1000
_MAX_NAME_CHARACTERS = 250
_MAX_FOOTER_BYTES = 16 * 1024 * 1024
_NOTHING = frozenset({"", "NA", "NaN", "nan", "null"})
_KINDS = (
    ("boolean", re.compile(r"true|false|True|False|TRUE|FALSE")),
    ("long", re.compile(r"[+-]?(0|[1-9]\d{0,17})", re.ASCII)),
    ("double", re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)),
)
_ARROW_TYPES = (
    ("boolean", ("bool",)),
    ("integer", ("int8", "int16", "int32", "uint8", "uint16")),
    ("long", ("int64", "uint32")),
    ("float", ("halffloat", "float")),
    ("double", ("double",)),
    ("string", ("string", "large_string", "string_view")),
    ("binary", ("binary", "large_binary", "binary_view")),
    ("datetime", ("date32[day]", "date64[ms]", "timestamp")),
)
_JSON_TYPES: Mapping[type, str] = {bool: "boolean", int: "long", float: "double", str: "string"}
_TYPE_OF_ARROW = {arrow: name for name, arrows in _ARROW_TYPES for arrow in arrows}


def read_columns(path: str) -> list[Column] | None:
    """Those of the file; None where it is no table, or they are not certain."""
    read = _READERS.get(os.path.splitext(path)[1].lower())
    if read is None or not os.path.isfile(path):
        return None
    try:
        columns = read(path)
    except Exception:  # whatever a file may be in which no table is
        return None
    names = [column["name"] for column in columns or ()]
    are_names = all(
        name and name.isprintable() and len(name) <= _MAX_NAME_CHARACTERS for name in names
    )
    is_certain = are_names and 0 < len(set(names)) == len(names) <= _MAX_COLUMNS
    return columns if is_certain else None


def _text_of(path: str) -> tuple[str, bool]:
    """Its text, or the whole lines at its beginning; and whether that is all of it."""
    with open(path, "rb") as file:
        is_whole = os.fstat(file.fileno()).st_size <= MAX_WHOLE_BYTES
        content = file.read(MAX_WHOLE_BYTES if is_whole else _SAMPLE_BYTES)
    if not is_whole:
        content = content[: content.rfind(b"\n") + 1]
    if b"\0" in content:
        raise ValueError("it is no text")
    return content.decode("utf-8-sig"), is_whole


# --- CSV and TSV ---


def _csv_columns(path: str, delimiter: str = ",") -> list[Column] | None:
    text, is_whole = _text_of(path)
    rows = list(_csv_rows(text, delimiter, is_whole=is_whole))
    header, *rest = rows or [[]]
    if not rest or any(len(row) != len(header) for row in rest):
        return None
    cells = list(zip(*rest, strict=True))
    if not _is_header(header, cells):
        return None
    return [
        _column(
            name, _type_of_cells(column), is_whole=is_whole, lacks=_NOTHING.intersection(column)
        )
        for name, column in zip(header, cells, strict=True)
    ]


def _csv_rows(text: str, delimiter: str, *, is_whole: bool) -> Iterator[list[str]]:
    """Less empty lines. A cell in quotes may have gone on where a sample ends."""
    rows = [
        row for row in csv.reader(io.StringIO(text, ""), delimiter=delimiter, strict=True) if row
    ]
    yield from rows if is_whole else rows[:-1]


def _is_header(header: Sequence[str], cells: Iterable[Sequence[str]]) -> bool:
    """Whether the first row is no data: there are numbers or truth values below, and none in it.

    A single name that holds another delimiter is that of a table with another delimiter.
    """
    if any(_kind_of(name) != "string" or name in _NOTHING for name in header):
        return False
    if len(header) == 1 and re.search(r"[;|\t,]", header[0]):
        return False
    return any(_type_of_cells(column) not in ("string", "any") for column in cells)


def _kind_of(cell: str) -> str:
    """What readers agree on: ``007`` is a number to some of them, and a text to others."""
    found = next((name for name, pattern in _KINDS if pattern.fullmatch(cell.strip())), None)
    if found is None:
        try:
            float(cell)
        except ValueError:
            return "string"
    return found or "any"


def _type_of_cells(cells: Iterable[str]) -> str:
    return _common({_kind_of(cell) for cell in set(cells) - _NOTHING})


def _common(kinds: set[str]) -> str:
    """The type of a column in which these were found."""
    if kinds == {"long", "double"}:
        return "double"
    return kinds.pop() if len(kinds) == 1 else "string" if "string" in kinds else "any"


# --- JSON lines ---


def _json_columns(path: str) -> list[Column] | None:
    text, is_whole = _text_of(path)
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        return None
    names = dict.fromkeys(name for row in rows for name in row)
    if len(names) > _MAX_COLUMNS:
        return None
    return [_json_column(name, [row.get(name) for row in rows], is_whole) for name in names]


def _json_column(name: str, values: Sequence[object], is_whole: bool) -> Column:
    kinds = {_kind_of_json(value) for value in values if value is not None}
    certain = "any" if len(kinds) > 1 and "string" in kinds else _common(kinds)
    return _column(name, certain, is_whole=is_whole, lacks=None in values)


def _kind_of_json(value: object) -> str:
    if isinstance(value, int) and abs(value) >= 2**63:
        return "any"
    return _JSON_TYPES.get(type(value), "any")


def _column(name: str, type_: str, *, is_whole: bool, lacks: object) -> Column:
    known = type_ if is_whole else "any"
    return {"type": known, "name": name, "required": is_whole and not lacks}


# --- Parquet and Arrow: what these say of themselves; by pyarrow, where it is there ---


def _parquet_columns(path: str) -> list[Column] | None:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 8, 0))
        footer = file.read()
    length = int.from_bytes(footer[:4], "little")
    if footer[4:] != b"PAR1" or not 0 < length <= min(size - 8, _MAX_FOOTER_BYTES):
        return None
    try:
        from pyarrow import parquet
    except ImportError:
        return None
    return _arrow_columns(parquet.read_schema(path, memory_map=True))


def _ipc_columns(path: str) -> list[Column] | None:
    with open(path, "rb") as file:
        if file.read(6) != b"ARROW1":
            return None
    try:
        import pyarrow
    except ImportError:
        return None
    with pyarrow.memory_map(path) as mapped:
        return _arrow_columns(pyarrow.ipc.open_file(mapped).schema)


def _arrow_columns(schema: Any) -> list[Column]:
    """Less the index of a data frame, which is no column of it."""
    said = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    index = [name for name in said.get("index_columns", ()) if isinstance(name, str)]
    return [
        {"type": _arrow_type(field.type), "name": field.name, "required": not field.nullable}
        for field in schema
        if field.name not in index
    ]


def _arrow_type(arrow: Any) -> str:
    name = str(getattr(arrow, "value_type", arrow) if "dictionary" in str(arrow) else arrow)
    return _TYPE_OF_ARROW.get("timestamp" if name.startswith("timestamp[") else name, "any")


_READERS: Mapping[str, Callable[[str], list[Column] | None]] = {
    ".csv": _csv_columns,
    ".tsv": lambda path: _csv_columns(path, "\t"),
    ".jsonl": _json_columns,
    ".ndjson": _json_columns,
    ".parquet": _parquet_columns,
    ".arrow": _ipc_columns,
    ".feather": _ipc_columns,
}
TABLES = frozenset(_READERS)
