"""What the environment and arguments say of proxies and certificates, and what of it cannot be used."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from m3ter_async import AsyncM3ter, ConfigurationError
from m3ter_async.transports import AiohttpTransport, HttpxTransport
from m3ter_async.transports.network import Network

API = "https://api.m3ter.com"
PROXY = "http://proxy.example:3128"


def way(url: str, proxy: str | None = None, **environment: str) -> str | None:
    """The proxy that is used for `url`."""
    found = Network(proxy, environment=environment).route(url).proxy
    return None if found is None else found.url


@pytest.mark.parametrize(
    ("environment", "used"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"all_proxy": PROXY}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "http://other:1", "https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": ""}, None),
        ({"ALL_PROXY": "http://other:1", "HTTPS_PROXY": PROXY}, PROXY),
        ({"HTTPS_PROXY": "", "ALL_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": f" {PROXY} "}, PROXY),
        ({"HTTPS_PROXY": "http://proxy.example"}, "http://proxy.example:80"),
        ({"HTTPS_PROXY": "https://proxy.example"}, "https://proxy.example:443"),
        ({"HTTPS_PROXY": "http://[fd00::1]:8080"}, "http://[fd00::1]:8080"),
    ],
)
def test_the_variables_decide_lower_case_first(environment: dict[str, str], used: str | None) -> None:
    assert way(API, **environment) == used


@pytest.mark.parametrize(
    ("entry", "url", "exempt"),
    [
        ("*", API, True),
        ("api.m3ter.com", API, True),
        ("m3ter.com", API, True),
        (".m3ter.com", API, True),
        ("*.m3ter.com", API, True),
        ("M3TER.COM", API, True),
        ("ter.com", API, False),
        ("api.m3ter.com:443", API, True),
        ("api.m3ter.com:8443", API, False),
        ("m3ter.com:8443", f"{API}:8443", True),
        ("localhost, 10.0.0.0/8 ,m3ter.com", API, True),
        ("localhost m3ter.com", API, True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.1.2.3", "https://10.1.2.3", True),
        ("10.1.2.3:444", "https://10.1.2.3", False),
        ("1.2.3", "https://10.1.2.3", False),
        ("fd00::/8", "https://[fd00::7]", True),
        ("[fd00::7]:443", "https://[fd00::7]", True),
        ("::1", "https://[fd00::7]", False),
        ("", API, False),
        (",,", API, False),
    ],
)
def test_no_proxy_names_hosts_domains_networks_and_ports(entry: str, url: str, exempt: bool) -> None:
    assert way(url, HTTPS_PROXY=PROXY, NO_PROXY=entry) == (None if exempt else PROXY)


def test_plain_http_to_this_machine_never_goes_through_a_proxy_of_the_environment() -> None:
    """Key and secret would leave it in the clear."""
    assert way("http://127.0.0.1:8080", HTTP_PROXY=PROXY) is None
    assert way("http://localhost:8080", ALL_PROXY=PROXY) is None
    assert way("http://10.0.0.1", HTTP_PROXY=PROXY) == PROXY


def test_a_web_server_s_client_cannot_set_a_proxy_by_a_header() -> None:
    assert way("http://10.0.0.1", HTTP_PROXY=PROXY, REQUEST_METHOD="GET") is None
    assert way("http://10.0.0.1", http_proxy=PROXY, REQUEST_METHOD="GET") == PROXY


def test_an_argument_is_used_in_place_of_all_variables() -> None:
    other = {"HTTPS_PROXY": "http://other:1", "NO_PROXY": "*"}
    assert way(API, PROXY, **other) == PROXY
    assert way(API, "", HTTPS_PROXY=PROXY) is None


def test_variables_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    network = AiohttpTransport().network
    monkeypatch.delenv("HTTPS_PROXY")
    assert network.route(API).proxy is not None


def test_credentials_of_a_proxy_are_used_and_not_shown() -> None:
    route = Network("http://us%40er:pass%3Aword@proxy.example:3128").route(API)
    assert route.proxy is not None
    assert route.proxy.credentials == ("us@er", "pass:word")
    assert "Proxy-Authorization" in route.proxy.headers
    assert not {"us@er", "us%40er", "pass"} & set(repr(route).replace(":", " ").replace("/", " ").split())
    assert "pass" not in repr(route)


@pytest.mark.parametrize(
    "value", ["socks5://secret:word@p:1080", "ftp://p", "http://", "http://p:x", "http://a b", "://"]
)
@pytest.mark.parametrize("make", [AiohttpTransport, HttpxTransport])
def test_a_proxy_that_cannot_be_used_is_named(
    value: str, make: type[AiohttpTransport | HttpxTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="proxy=") as caught:
        make(proxy=value)
    assert "word" not in str(caught.value)
    monkeypatch.setenv("ALL_PROXY", value)
    network = make().network
    network.check(["http://127.0.0.1:1"])  # nothing that is used
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
        network.check([API])
    assert "word" not in str(caught.value)


def test_a_client_whose_proxy_cannot_be_used_is_refused_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://p:1080")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        AsyncM3ter(token="t", org_id="o")
    AsyncM3ter(token="t", org_id="o", proxy="")


@pytest.mark.parametrize("option", [{"proxy": PROXY}, {"proxy": ""}, {"ssl_context": ssl.create_default_context()}])
def test_a_transport_of_the_callers_has_settings_of_its_own(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="transport="):
        AsyncM3ter(token="t", org_id="o", transport=AiohttpTransport(), **option)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_certificates_that_are_not_there_are_named(variable: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        Network(environment={variable: str(tmp_path / "nothing")})


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_file_without_certificates_is_named(variable: str, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing of the kind")
    with pytest.raises(ConfigurationError, match=variable):
        Network(environment={variable: str(tmp_path / "no.pem")})


def test_a_context_is_used_as_it_is() -> None:
    own = ssl.create_default_context()
    assert Network(ssl_context=own, environment={}).context() is own


def test_the_system_s_own_certificates_are_left_to_the_system() -> None:
    assert Network(environment={}).context() is None


def test_certifi_stands_in_where_the_system_has_no_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing = ssl.DefaultVerifyPaths(None, str(tmp_path), "", "", "", "")  # type: ignore[arg-type]
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    context = Network(environment={}).context()
    assert context is not None
    assert context.cert_store_stats()["x509_ca"] > 50
