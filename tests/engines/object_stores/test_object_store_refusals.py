"""Stores that cannot be exported into: refused in one line, without a secret, before anything is read."""

from __future__ import annotations

import threading
import time
from collections import Counter
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from m3ter_async.export import ExportError
from m3ter_async.sandbox import Sandbox

from .s3 import SECRET, Passing, Proxy, command, exported


def refusal(sandbox: Sandbox, out: str, **options: Any) -> str:
    before = Counter(sandbox.requests)
    began = time.monotonic()
    with pytest.raises((ValueError, ExportError)) as caught:
        exported(sandbox, out, **options)
    assert time.monotonic() - began < 25
    text = str(caught.value)
    assert before == sandbox.requests
    assert "\n" not in text
    assert SECRET not in text
    assert "AKIA" not in text
    assert "Signature" not in text
    return text


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.usefixtures("s3")
def test_a_bucket_that_is_not_there(sandbox: Sandbox, resume: bool) -> None:
    text = refusal(sandbox, "s3://never-made/x", resume=resume)
    assert text.startswith("cannot write to s3://never-made/x/manifest: there is no such bucket")


SAYS = {
    403: "<Error><Code>AccessDenied</Code><AWSAccessKeyId>AKIA-of-the-tests</AWSAccessKeyId>"
    "<StringToSign>Signature</StringToSign></Error>",
    400: "<Error><Code>AuthorizationHeaderMalformed</Code><Message>AKIA</Message></Error>",
    503: "<Error><Code>SlowDown</Code></Error>",
}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "the store refuses: the credentials do not allow it (403: AccessDenied)"),
        (400, "the store answers 400: AuthorizationHeaderMalformed"),
        (503, "the store answers 503: SlowDown"),
    ],
)
def test_a_store_that_refuses(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, s3: str, status: int, told: str
) -> None:
    class Refusing(Passing):
        def pass_on(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self._answer(status, SAYS[status].encode())

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        text = refusal(sandbox, s3)
        server.shutdown()
    assert text == f"cannot write to {s3}/manifest: {told}"


def test_a_store_that_may_be_read_and_not_written_to(sandbox: Sandbox, s3: str, moto: int, monkeypatch: Any) -> None:
    class ReadOnly(Passing):
        def pass_on(self) -> None:
            if self.command == "GET":
                super().pass_on()
            else:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self._answer(403, SAYS[403].encode())

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815

    server = Proxy(moto, lambda _: None)
    server.RequestHandlerClass = ReadOnly
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    text = refusal(sandbox, s3)
    server.shutdown()
    server.server_close()
    assert "the store refuses: the credentials do not allow it (403: AccessDenied)" in text


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "the store cannot be reached"),
        ("AWS_ENDPOINT_URL", "http://user:hush-hush-secret@x y", "the endpoint is not a URL: look at AWS_ENDPOINT_URL"),
        ("AWS_ENDPOINT_URL", "localhost:9000", "the endpoint is not a URL: look at AWS_ENDPOINT_URL"),
        ("AWS_ALLOW_HTTP", "false", "one that begins with http:// needs AWS_ALLOW_HTTP=true"),
        ("AWS_ALLOW_HTTP", "perhaps", "an option of the store in the environment cannot be used"),
        ("AWS_CONDITIONAL_PUT", "disabled", "the store cannot create an object only where there is none"),
    ],
)
def test_options_that_cannot_be_used(
    sandbox: Sandbox, s3: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    assert told in refusal(sandbox, s3)


def test_azure_without_an_account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    assert "the account is not known: set AZURE_STORAGE_ACCOUNT_NAME" in refusal(sandbox, "az://container/x")


def test_the_command_tells_it_in_one_line(sandbox: Sandbox, s3: str) -> None:
    process = command(sandbox, "s3://never-made/x")
    told, said = process.communicate()
    assert process.returncode == 2
    assert said.count("\n") == 1
    assert "s3://never-made/x/manifest: there is no such bucket" in said
    assert told == ""
    assert s3
