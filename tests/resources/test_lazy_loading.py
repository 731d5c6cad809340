"""What is loaded on first use works, whatever stands in ``datetime`` just then, and for the rest of the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

FREEZERS = {
    "freezegun": "from freezegun import freeze_time\nfrozen = freeze_time('2024-06-01')",
    "freezegun, before the import": (
        "from freezegun import freeze_time\nfreeze_time('2024-06-01').start()\nfrozen = freeze_time('2024-06-02')"
    ),
    "time-machine": "import time_machine\nfrozen = time_machine.travel('2024-06-01', tick=False)",
}

PROGRAM = """
{freezer}
import datetime, importlib, pkgutil
import m3ter_async

def use_everything():
    from m3ter_async import models
    from m3ter_async._core.decoding import decode, decoder
    from m3ter_async._core.encoding import as_date, as_datetime, encode_body, encode_query
    from m3ter_async._measurements.measurement import encode, measurement
    from m3ter_async._measurements import failed_measurements
    from m3ter_async._tabular import tables
    for name in models.__all__:
        if isinstance(getattr(models, name), type) and issubclass(getattr(models, name), models.Model):
            decode(decoder(getattr(models, name)), b"{{}}")
    bill = decode(
        decoder(models.Bill), b'{{"billDate":"2024-01-31","dtCreated":"2024-01-31T12:00:00.5Z","dueDate":"2024-02-01"}}'
    )
    assert bill.bill_date.isoformat() == "2024-01-31"
    assert bill.dt_created.isoformat() == "2024-01-31T12:00:00.500000+00:00"
    assert b'"2024-01-31T12:00:00.500000Z"' in encode_body(bill)
    for kind in (datetime.datetime, real.datetime):
        moment = kind(2024, 5, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
        assert encode_body({{"a": moment}}) == b'{{"a":"2024-05-01T10:00:00Z"}}'
        assert encode_query({{"a": moment}}) == "a=2024-05-01T10%3A00%3A00Z"
        assert as_datetime(moment) == "2024-05-01T10:00:00Z"
        assert as_date(kind(2024, 5, 1)) == "2024-05-01"
        row = {{"meter": "m", "account": "a", "ts": moment, "ets": "2024-05-01T10:00:00Z", "measure": {{"n": 1}}}}
        assert b'"ts":"2024-05-01T10:00:00Z"' in encode(measurement(row, "u"))
        assert failed_measurements._moment("start", moment) == moment

class real:
    datetime = next(kind for kind in datetime.datetime.__mro__ if kind.__module__ == "datetime")

with frozen:
    assert datetime.datetime.now().year == 2024
    use_everything()
use_everything()
with frozen:
    use_everything()
print("done")
"""


@pytest.mark.parametrize("freezer", FREEZERS.values(), ids=FREEZERS.keys())
def test_what_is_loaded_while_time_is_frozen_is_not_broken_then_or_later(freezer: str) -> None:
    program = PROGRAM.format(freezer=freezer)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")
