"""A source for dlt: what changed in listings since the last run, into any of its destinations."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from importlib import import_module
from pathlib import PurePath
from typing import Any

from .._untyped import untyped
from ..client import AsyncM3ter
from ..export.slices.arguments import Value, as_texts
from ..export.slices.listings import find, unconnected
from ..export.slices.parent_names import parent_field
from ..sync import Change, Known, changes
from ..sync.bookmark import Bookmark
from ._dlt_tables import BOOKMARK, DIGEST, ORDER, SETTLED, Tables
from ._pump import pumped

__all__ = ["m3ter_source"]

_NEEDED = 'm3ter_source needs dlt: pip install "m3ter-async[dlt]"'
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_AT_ONCE = 10_000  # rows of what is known that are Python objects at a time
_BATCH = 32 * 2**20  # bytes of JSON in a change


def m3ter_source(
    resources: Sequence[str],
    *,
    client: Callable[[], AsyncM3ter] = AsyncM3ter,
    full: bool | timedelta = _DAY,
    where: Mapping[str, Mapping[str, Value]] | None = None,
    look_back: timedelta = _HOUR,
    on_change: Callable[[Change], object] | None = None,
) -> Any:
    """What changed in listings since the last run, as a dlt source.

    ::

        pipeline = dlt.pipeline("billing", destination="duckdb", dataset_name="m3ter")
        pipeline.run(m3ter_source(["bills", "accounts"]))

    Each listing is a table with a row for each record, and a table for each list in it. What is new or changed replaces
    what was there, with all that lies in it; what is gone is removed. Amounts are ``decimal(38, 18)``. A listing and
    the tables below it are merged in one transaction, where the destination has any. What the next run has to know is
    in columns of the same rows, ``_m3ter_…``, so that it is never ahead of them and never behind.

    Only one run at a time may write to a dataset.

    Args:
        resources: Dotted names of listings, such as ``bills`` and ``balances.transactions``.
        client: Makes the client; by default one with the credentials of the environment. It is used in another thread.
        full: When to look at locked bills too; see `m3ter_async.sync.changes`.
        where: Other arguments of listings, by resource.
        look_back: See `m3ter_async.sync.changes`.
        on_change: Called with each change before dlt gets it; its notes, and what was set aside, are there.

    Returns:
        A dlt source named ``m3ter``, with a resource for each listing.

    Raises:
        ValueError: There is no such listing, none is named, or two of them have a table of the same name.
        ImportError: dlt is not installed: it comes with the extra ``dlt``.
    """
    if isinstance(resources, str) or not resources:
        raise ValueError("resources must be a list of listings, such as ['bills']")
    names = list(dict.fromkeys(resources))
    found: dict[str, str] = {}
    plans = [
        _Plan(name, client, {"full": full, "look_back": look_back, "where": (where or {}).get(name)}, on_change)
        for name in names
    ]
    for plan in plans:
        for table in plan.tables.names:
            if found.setdefault(table, plan.name) != plan.name:
                raise ValueError(f"{found[table]} and {plan.name} both have a table {table}: give each its own dataset")

    dlt = untyped("dlt", _NEEDED)

    def m3ter() -> list[Any]:
        return [plan.resource(dlt) for plan in plans]

    return dlt.source(m3ter, name="m3ter", section="m3ter")()


def _check_destination(pipeline: Any) -> None:
    """Refuse a destination that would not hold what the service holds.

    Raises:
        ValueError: It cannot replace rows, so that dlt would add to them; or it is a DuckDB file that is named as the
            dataset is, and DuckDB takes one name for the other.
    """
    name = pipeline.destination.destination_name
    with pipeline.destination_client() as client:
        if "delete-insert" not in (client.capabilities.supported_merge_strategies or ()):
            raise ValueError(
                f"{name} cannot replace rows, which a sync has to: m3ter_async.sync.sync_lake writes files"
            )
        file = PurePath(str(client.config.credentials.database)).stem if name == "duckdb" else None
    if file == pipeline.dataset_name:
        raise ValueError(f"the DuckDB file and the dataset are both named {file}: give one of them another name")


class _Plan:
    """One listing on its way into a pipeline."""

    def __init__(
        self,
        name: str,
        client: Callable[[], AsyncM3ter],
        arguments: Mapping[str, Any],
        on_change: Callable[[Change], object] | None,
    ) -> None:
        self.name = name
        self._client = client
        self._arguments = arguments
        self._on_change = on_change
        self._texts = as_texts(arguments["where"] or {})
        listing = find(unconnected(), name, self._texts)
        from ..export.formats.converters import of_listing  # it loads pyarrow

        self.tables = Tables(of_listing(listing).schemas, parent_field(listing))

    def resource(self, dlt: Any) -> Any:
        """The dlt resource."""
        resource = self.name.replace(".", "_")

        def rows() -> Iterator[Any]:
            pipeline = dlt.current.pipeline()
            _check_destination(pipeline)
            known, order = self._known(pipeline)
            mark, make = dlt.mark.with_hints, dlt.mark.make_hints
            schema = dlt.current.source_schema()
            with self.tables.apart(schema), pumped(lambda: self._changes(known, order)) as found:
                for name, table in found:
                    yield mark(table, make(**self.tables.hints(name)), create_table_variant=True)

        return dlt.resource(rows, name=resource)

    async def _changes(self, known: Known, order: int) -> AsyncGenerator[tuple[str, Any]]:
        held: Change | None = None  # its last row may get the bookmark of the whole sync
        async with self._client() as client:
            if len(known) and known.resource is None:  # the rows that had bookmarks are gone: everything is looked at
                known._standing = Bookmark(org=client.org_id, resource=self.name, where=self._texts)
            round = changes(client, self.name, known, batch_bytes=_BATCH, **self._arguments)
            async with aclosing(round):
                async for change in round:
                    if self._on_change is not None:
                        self._on_change(change)
                    if held is not None and (change.ids or change.deletes):
                        order += 1
                        for each in self.tables.rows(held, order, None):
                            yield each
                        held = None
                    held = held or change
                    if change.last:
                        bookmark = change.bookmark.decode()
                        for each in self.tables.rows(held, order + 1, bookmark):
                            yield each

    def _known(self, pipeline: Any) -> tuple[Known, int]:
        """What the destination holds, and the highest order in it."""
        errors: Any = import_module("dlt.destinations.exceptions")
        parent = self.tables.parent
        columns = [parent, "id", DIGEST, SETTLED] if parent else ["id", DIGEST, SETTLED]
        with pipeline.sql_client() as client:
            if not client.has_dataset():
                return Known(), 0
            table = client.make_qualified_table_name(self.tables.table)
            names = {name: client.escape_column_name(name) for name in (*columns, ORDER, BOOKMARK)}
            try:
                marks = client.execute_sql(
                    f"SELECT {names[ORDER]}, {names[BOOKMARK]} FROM {table} WHERE {names[BOOKMARK]} IS NOT NULL "
                    f"ORDER BY {names[ORDER]} DESC"
                )
                (highest,) = client.execute_sql(f"SELECT MAX({names[ORDER]}) FROM {table}")[0]
                wanted = ", ".join(names[name] for name in columns)
                with client.execute_query(f"SELECT {wanted} FROM {table}") as cursor:
                    if highest is None:
                        return Known(), 0
                    rows = cursor.iter_fetch(_AT_ONCE)
                    known = Known.from_state(str(marks[0][1]).encode() if marks else None, map(_state, rows))
            except errors.DatabaseUndefinedRelation:
                return Known(), 0
        return known, int(highest)


def _state(rows: Sequence[Sequence[Any]]) -> Any:
    from .._tabular.pyarrow_import import pa
    from ..sync.state import schema

    columns = [list(column) for column in zip(*rows, strict=True)]
    if len(columns) == 3:
        columns.insert(0, [""] * len(rows))
    return pa.table(columns, schema=schema())
