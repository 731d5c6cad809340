"""Databases that a sync writes to, by dlt: what is in one is looked at first, and kept to one sync."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit
from zlib import crc32

from ..errors import M3terError
from .console import CommandFailed, one_line

if TYPE_CHECKING:
    from ..client import AsyncM3ter
    from ..sync import Change

    Connect = Callable[[], AsyncM3ter]
    OnChange = Callable[[Change], object]

DATASET: Final = "m3ter"
_EXTRA: Final = 'a database needs dlt: pip install "m3ter-async[sync]"'
# What a column of a table is, in Arrow and in the databases.
_TYPES: Final = (
    ("decimal128(38, 18)", ("decimal(38,18)", "numeric(38,18)")),
    ("string", ("varchar", "character varying", "text")),
    ("int64", ("bigint",)),
    ("bool", ("boolean",)),
    ("date32[day]", ("date",)),
    ("timestamp[us, tz=UTC]", ("timestamp with time zone", "timestamp with time zone(6)")),
)
_COLUMNS: Final = """SELECT table_name, column_name, data_type, numeric_precision, numeric_scale
FROM information_schema.columns WHERE table_schema = '{dataset}'"""

_SETTINGS: Final = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "LOAD__TRUNCATE_STAGING_DATASET": "true",  # or each row stays there a second time
}


class Refused(Exception):
    """The database did not do what was asked for; the text tells why, without a secret."""


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in ("dlt", "duckdb", "psycopg2", "pyarrow"):
            raise
        raise CommandFailed(_EXTRA) from None


class Warehouse:
    """A database, and the schema in it that a sync fills.

    Args:
        url: Where it is. It may have a password, which is never shown.
        dataset: The name of the schema.

    Raises:
        CommandFailed: It is no database that a sync can write to.
    """

    def __init__(self, url: str, dataset: str = DATASET) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", dataset):
            raise CommandFailed("sync: --dataset must be a name of small letters, digits and _")
        self._url = url
        self._dataset = dataset
        try:
            parts = urlsplit(url)
            self._secrets = [each for each in (parts.password, unquote(parts.password or "")) if each]
        except ValueError:
            raise CommandFailed("sync: --to is no URL that can be read") from None
        self._file: Path | None = None
        if parts.scheme == "duckdb":
            self._file = Path(unquote(parts.path.removeprefix("/"))) if not parts.netloc else None
            if self._file is None or not self._file.name or parts.query or parts.fragment:
                raise CommandFailed("sync: a DuckDB file is written as duckdb:///FILE, or duckdb:////FULL/PATH")
            if self._file.stem == dataset:
                raise CommandFailed(
                    f"sync: the file {self._file.name} and the dataset {dataset} have one name, which DuckDB takes "
                    "for the other: give the file another one, or --dataset"
                )
        elif not parts.hostname or not parts.path.strip("/"):
            raise CommandFailed("sync: a PostgreSQL database is written as postgresql://USER:PASSWORD@HOST/DATABASE")

    def __str__(self) -> str:
        if self._file is not None:
            return str(self._file)
        parts = urlsplit(self._url)
        return f"{parts.hostname}{parts.path}"

    @contextmanager
    def held(self, tables: Mapping[str, Any]) -> Generator[None]:
        """Keep every other sync out.

        Args:
            tables: The schema of each table to be written, by name.

        Raises:
            CommandFailed: Another sync is in it, it holds something else, or it cannot be opened. Nothing was touched.
        """
        _module("dlt")
        with self._file_held(self._file) if self._file is not None else self._server_held() as columns:
            self._look_at(columns, tables)
            yield

    @contextmanager
    def _file_held(self, file: Path) -> Generator[list[Sequence[Any]]]:
        from ..sync.lake.place import _lock

        duckdb = _module("duckdb")
        if not file.parent.is_dir():
            raise CommandFailed(f"sync: there is no folder {file.parent}")
        try:
            lock = open(f"{file}.lock", "ab")  # noqa: SIM115  it is closed below
        except OSError as error:
            raise CommandFailed(f"sync: cannot write beside {file}: {error.strerror}", 1) from None
        with lock:
            try:
                _lock(lock)
            except OSError:
                raise CommandFailed(f"sync: another sync writes to {file}", 1) from None
            columns: list[Sequence[Any]] = []
            if file.exists():
                try:
                    with duckdb.connect(str(file), read_only=True) as connection:
                        columns = connection.execute(_COLUMNS.format(dataset=self._dataset)).fetchall()
                except duckdb.Error as error:
                    raise CommandFailed(f"sync: cannot open {file}: {_first(error)}") from None
            yield columns

    @contextmanager
    def _server_held(self) -> Generator[list[Sequence[Any]]]:
        psycopg2 = _module("psycopg2")
        try:
            connection = psycopg2.connect(self._url, connect_timeout=30)
        except (psycopg2.Error, UnicodeError) as error:
            raise CommandFailed(f"sync: cannot connect to {self}: {self._shown(error)}", 1) from None
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                # released when the connection ends, however this process ends
                cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (crc32(b"m3ter") >> 1, self._lock_number()))
                if not cursor.fetchone()[0]:
                    raise CommandFailed(f"sync: another sync writes to {self}", 1)
                cursor.execute(_COLUMNS.format(dataset=self._dataset))
                columns = cursor.fetchall()
            yield columns
        finally:
            connection.close()

    def _lock_number(self) -> int:
        return crc32(self._dataset.encode()) >> 1

    def _look_at(self, columns: Sequence[Sequence[Any]], tables: Mapping[str, Any]) -> None:
        """Refuse a schema that holds something else than a sync made.

        Raises:
            CommandFailed: It does.
        """
        there: dict[str, dict[str, str]] = {}
        for table, column, kind, precision, scale in columns:
            text = str(kind).lower()
            if text == "numeric":
                text = f"numeric({precision},{scale})"
            there.setdefault(str(table), {})[str(column)] = text
        if there and "_dlt_version" not in there:
            raise CommandFailed(f"sync: {self} holds something else in the schema {self._dataset}: give --dataset")
        for name, schema in tables.items():
            if name in there and "_dlt_id" not in there[name]:
                raise CommandFailed(f"sync: {self} holds a table {self._dataset}.{name} that no sync made")
            for field in schema:
                kind = there.get(name, {}).get(field.name)
                wanted = dict(_TYPES).get(str(field.type), ())
                if kind is not None and wanted and kind not in wanted:
                    raise CommandFailed(
                        f"sync: {self} has {self._dataset}.{name}.{field.name} as {kind}, not {wanted[0]}: "
                        "give the column that type, or a new --dataset"
                    )

    def round(self, resources: Sequence[str], connect: Connect, full: bool | timedelta, on_change: OnChange) -> None:
        """Bring it up to date.

        Raises:
            M3terError: The service failed. Nothing was changed.
            ValueError: There is no such listing, or it cannot be followed.
            Refused: The database failed. Each listing is as it was, or as it is now.
        """
        # read once, when dlt is loaded; it looks for settings of its own in the environment
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        dlt = _module("dlt")
        from ..contrib.dlt import m3ter_source

        source = m3ter_source(resources, client=connect, full=full, on_change=on_change)
        to = dlt.destinations
        target = to.duckdb(str(self._file.absolute())) if self._file is not None else to.postgres(self._url)
        # all that is remembered is in the database: a folder that was left behind could only bring what is old
        with tempfile.TemporaryDirectory(prefix="m3ter-sync-", ignore_cleanup_errors=True) as folder:
            pipeline = dlt.pipeline("m3ter", destination=target, dataset_name=self._dataset, pipelines_dir=folder)
            try:
                pipeline.run(source, loader_file_format="parquet" if self._file is not None else None)
            except Exception as error:  # noqa: BLE001  dlt wraps whatever comes in errors of its own
                cause = _cause(error)
                if cause is not None:
                    raise cause from None
                raise Refused(f"{self} failed: {self._shown(_last(error))}") from None

    def _shown(self, error: BaseException) -> str:
        text = _first(error)
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text


def _chain(error: BaseException) -> Generator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _cause(error: BaseException) -> BaseException | None:
    """What of ours is behind an error of dlt's."""
    from .signals import Stopped

    return next((each for each in _chain(error) if isinstance(each, (M3terError, CommandFailed, Stopped))), None)


def _last(error: BaseException) -> BaseException:
    return list(_chain(error))[-1]


def _first(error: BaseException) -> str:
    """The first line of what an error says."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(lines[0]) if lines else type(error).__name__
