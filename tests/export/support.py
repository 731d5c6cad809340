"""What the tests of the export share: a service without a wire, and readers of what an export wrote."""

from __future__ import annotations

import csv
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from m3ter_async import AsyncM3ter, Transport
from m3ter_async._core.clock import Clock
from m3ter_async._tabular.pyarrow_import import pa, pq
from m3ter_async.export import ExportedFile, ExportReport, Note
from m3ter_async.export.formats.layout import layout
from m3ter_async.export.slices.listings import find
from m3ter_async.sandbox import Sandbox
from m3ter_async.transports.protocol import Request, Response

from ..fakes import FakeTransport, answer, client

MANIFEST = "manifest.jsonl"
SCHEMA = "schema.json"

_SHM = Path("/dev/shm")
# In memory where there is such a place: there syncing, which is done a thousand times, takes no time.
MEMORY = _SHM if _SHM.is_dir() else None


class Form(NamedTuple):
    """A way to write an export."""

    format: str
    nested: bool | None = None
    compression: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        return {name: value for name, value in self._asdict().items() if value is not None}


FORMS = {
    "ndjson": Form("ndjson"),
    "zstd": Form("ndjson", compression="zstd"),
    "csv": Form("csv"),
    "parquet": Form("parquet"),
    "nested": Form("parquet", nested=True),
}


def sandbox_client(
    sandbox: Sandbox, transport: Transport | None = None, clock: Clock | None = None, **options: Any
) -> AsyncM3ter:
    """A client of a sandbox that nothing holds back."""
    return AsyncM3ter(
        sandbox.api_key,
        sandbox.api_secret,
        sandbox.org_id,
        base_url=sandbox.url,
        rate_limit=None,
        transport=transport,
        _clock=clock,
        **options,
    )


Rows = Sequence[Any]


class Shelf:
    """Answers listings below an organization from records at hand, page by page; bills by their dates, newest first.

    Args:
        lists: By path below the organization, without a leading slash: records, as JSON or as what becomes JSON, or
            a function of the query that gives them.
        size: Records on a page.

    Attributes:
        asked: How often each path was asked for.
    """

    def __init__(self, lists: Mapping[str, Rows | Callable[[dict[str, str]], Rows]], size: int = 10) -> None:
        self.lists = dict(lists)
        self.size = size
        self.asked: Counter[str] = Counter()

    def __call__(self, request: Request) -> Response:
        url = urlsplit(request.url)
        path = url.path.split("/", 3)[3]
        query = dict(parse_qsl(url.query))
        self.asked[path] += 1
        found = self.lists[path]
        rows = found(query) if callable(found) else found
        start, end = query.get("billDateStart"), query.get("billDateEnd")
        if start is not None or end is not None:
            rows = [row for row in rows if (start or "") <= row["billDate"] < (end or "~")]
        place = int(query.get("nextToken", "0"))
        after = place + self.size
        page = b",".join(row if isinstance(row, bytes) else answer(row).content for row in rows[place:after])
        token = b'"%d"' % after if after < len(rows) else b"null"
        return answer(b'{"data":[' + page + b'],"nextToken":' + token + b"}")

    def client(self, clock: Clock | None = None, **options: Any) -> AsyncM3ter:
        """A client of this service."""
        return client(FakeTransport(self), clock, **options)


def bill(number: int, day: str = "2024-05-01", **more: Any) -> dict[str, Any]:
    """A small bill."""
    return {"id": f"bill-{number}", "billDate": day, "billTotal": number, **more}


@contextmanager
def written(records: Sequence[bytes], form: Form, resource: str = "bills", **where: str) -> Iterator[ExportReport]:
    """The files for some records, as an export would have left them."""
    listing = find(Shelf({}).client(), resource, where)
    form_layout = layout(listing, form.format, nested=bool(form.nested), compression=form.compression)
    with tempfile.TemporaryDirectory() as folder:
        paths = {table: Path(folder, table + form_layout.suffix) for table in form_layout.tables}
        sink = form_layout.open(paths)
        try:
            misfits = sink.write(records).misfits
        finally:
            sink.close()
        files = [
            ExportedFile(path, resource, table, sink.rows[table], path.stat().st_size) for table, path in paths.items()
        ]
        notes = [Note("record", resource, 1, f"{one.where}: {one.why}", (str(one.place),)) for one in misfits]
        count = len(records) - len(misfits)
        yield ExportReport({resource: count}, {resource: dict(sink.rows)}, tuple(files), 0, 0, 0, 0.0, tuple(notes))


def files(out: Path) -> list[str]:
    """All files of a folder but the manifest, the schema and what is kept of the ids."""
    found = (path.relative_to(out) for path in out.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if path.parts[0] not in (MANIFEST, SCHEMA, "_ids"))


def lines(report: ExportReport, resource: str, table: str) -> list[bytes]:
    """The lines of the NDJSON files of a table."""
    found: list[bytes] = []
    for path in paths(report, resource, table):
        content = path.read_bytes()
        if path.suffix == ".zst":
            with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
                content = stream.read()
        assert not content or content.endswith(b"\n")
        found += content.split(b"\n")[:-1]
    return found


def paths(report: ExportReport, resource: str, table: str) -> list[Path]:
    return [file.path for file in report.files if (file.resource, file.table) == (resource, table)]


def csv_rows(report: ExportReport, resource: str, table: str) -> list[dict[str, str]]:
    """The rows of the CSV files of a table; they all have the same header."""
    found: list[dict[str, str]] = []
    headers = set()
    for path in paths(report, resource, table):
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            headers.add(tuple(reader.fieldnames or ()))
            found += reader
    assert len(headers) == 1
    return found


def parquet_table(report: ExportReport, resource: str, table: str) -> Any:
    """The Parquet files of a table as one."""
    return pa.concat_tables([pq.read_table(path) for path in paths(report, resource, table)])


def parquet_rows(report: ExportReport, resource: str, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet_table(report, resource, table).to_pylist()
    return rows


def rows_of(report: ExportReport, form: Form, resource: str, table: str) -> list[dict[str, Any]]:
    """The rows of a table, with None where a cell is empty."""
    if form.format == "csv":
        return [{name: value or None for name, value in row.items()} for row in csv_rows(report, resource, table)]
    return parquet_rows(report, resource, table)


def noted(report: ExportReport, kind: str) -> dict[str, int | None]:
    """How many of what the notes of a kind tell, by name."""
    return {note.names[0] if note.names else "": note.count for note in report.notes if note.kind == kind}


def content(report: ExportReport) -> dict[tuple[str, str], list[str]]:
    """All rows of an export by resource and table, in an order that does not depend on how it was read."""
    found: dict[tuple[str, str], list[str]] = {}
    for resource, tables in report.rows.items():
        for table, count in tables.items():
            suffix = paths(report, resource, table)[0].suffix
            rows: Iterable[Any]
            if suffix == ".csv":
                rows = csv_rows(report, resource, table)
            elif suffix == ".parquet":
                rows = parquet_rows(report, resource, table)
            else:
                rows = lines(report, resource, table)
            found[resource, table] = sorted(map(repr, rows))
            assert len(found[resource, table]) == count
    return found


def exact(record: bytes) -> Any:
    """JSON with its numbers as Decimal."""
    return json.loads(record, parse_float=Decimal, parse_int=Decimal)
