"""The way to the service: the proxies and certificate authorities that arguments and environment name.

Both backends and the command line go by this, so that they agree; neither asks the environment by itself.
"""

from __future__ import annotations

import os
import ssl
import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        url: Where it is, without credentials.
        credentials: User and password, percent-decoded, or None.
    """

    url: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What it is to be sent with each request that it sees."""
        if self.credentials is None:
            return {}
        pair = b64encode(":".join(self.credentials).encode()).decode()
        return {"Proxy-Authorization": f"Basic {pair}"}


@dataclass(slots=True)
class Route:
    """The way to one origin.

    Attributes:
        host: Host and port, as they are shown.
        proxy: What is between, or None.
        worked: Whether an answer came this way before: then it is right as it is configured, and what fails passes.
    """

    host: str
    proxy: Proxy | None = None
    worked: bool = False


class Described(NamedTuple):
    """A network as plain data; it may hold the password of a proxy, so it is never shown.

    Attributes:
        proxies: By scheme, the URL of a proxy, and its user and password.
        exempt: Hosts that are reached without.
        chosen: Whether the proxy is one for everything.
    """

    proxies: dict[str, tuple[str, tuple[str, str] | None]]
    exempt: tuple[str, ...]
    chosen: bool

    def __repr__(self) -> str:
        return "Described(...)"


class Network:
    """Proxies and certificates, read once, when this is made.

    Args:
        proxy: The URL of a proxy for everything; "" for none at all; None to go by ``HTTPS_PROXY``, ``HTTP_PROXY``,
            ``ALL_PROXY`` and ``NO_PROXY``.
        ssl_context: How certificates are checked; by default ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, else
            ``REQUESTS_CA_BUNDLE``, else the system decides.

        environment: Where variables are read.

    Raises:
        ConfigurationError: A URL or file cannot be used; the text names the argument or variable.
    """

    def __init__(
        self,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._chosen = proxy is not None
        self._proxies: dict[str, Proxy | ConfigurationError] = {}
        self._exempt: tuple[str, ...] = ()
        if proxy:
            made = _proxy("proxy=", proxy)
            self._proxies = {"http": made, "https": made}
        elif proxy is None:
            self._read(environment)
        self._context = ssl_context or _from_environment(environment)
        self._by_hand = ssl_context is not None

    def described(self) -> Described | None:
        """What another process with the same environment goes the same way by.

        None where certificates are checked by an object of the caller's own.
        """
        if self._by_hand:
            return None
        proxies = {scheme: found for scheme, found in self._proxies.items() if isinstance(found, Proxy)}
        return Described(
            {each: (one.url, one.credentials) for each, one in proxies.items()}, self._exempt, self._chosen
        )

    @classmethod
    def of(cls, described: Described) -> Network:
        """The network that was described."""
        made = cls("")
        made._proxies = {scheme: Proxy(url, credentials) for scheme, (url, credentials) in described.proxies.items()}
        made._exempt, made._chosen = described.exempt, described.chosen
        return made

    def check(self, urls: Iterable[str]) -> None:
        """Raise `ConfigurationError` now if one of `urls` could not be reached by what the environment names."""
        for url in urls:
            self.route(url)

    def route(self, url: str) -> Route:
        """The way to the host of `url`.

        Raises:
            ConfigurationError: The environment names a proxy for it that cannot be used.
        """
        parts = urlsplit(url)
        name = (parts.hostname or "").rstrip(".")
        port = parts.port or _PORTS.get(parts.scheme, 0)
        found = self._proxies.get(parts.scheme)
        host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        if found is None or (not self._chosen and self._is_exempt(parts.scheme, name, port)):
            return Route(host)
        if isinstance(found, ConfigurationError):
            raise found
        return Route(host, found)

    def context(self) -> ssl.SSLContext | None:
        """How certificates are checked, or None where that is left to the system's own store."""
        if self._context is None and _store_is_empty():
            self._context = _bundled()
        return self._context

    def _read(self, environment: Mapping[str, str]) -> None:
        for scheme in ("https", "http"):
            variable, value = _look_up(environment, f"{scheme}_proxy")
            if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environment:
                value = ""  # under CGI, a client sets this variable by a header "Proxy"
            if variable is None:
                variable, value = _look_up(environment, "all_proxy")
            if variable is not None and value:
                try:
                    self._proxies[scheme] = _proxy(variable, value)
                except ConfigurationError as error:
                    self._proxies[scheme] = error  # raised where it would be used
        _, exempt = _look_up(environment, "no_proxy")
        self._exempt = tuple(exempt.lower().replace(",", " ").split())

    def _is_exempt(self, scheme: str, name: str, port: int) -> bool:
        # plain http is for this machine alone: through a proxy, key and secret would leave it in the clear
        if scheme == "http" and _is_loopback(name):
            return True
        return any(_matches(entry, name, port) for entry in self._exempt)


def _look_up(environment: Mapping[str, str], name: str) -> tuple[str | None, str]:
    """A variable in lower case, else in upper case: its name, or None if there is neither, and its value."""
    for variable in (name, name.upper()):
        if variable in environment:
            return variable, environment[variable].strip()
    return None, ""


def _proxy(source: str, value: str) -> Proxy:
    value = value.strip()
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port
    except ValueError:
        raise ConfigurationError(f"{source} is not the URL of a proxy") from None
    if parts.scheme not in _PORTS:
        raise ConfigurationError(
            f"{source} names a proxy of the kind {parts.scheme[:20]!r}: only http and https proxies can be used"
            ' (proxy="" goes without one, NO_PROXY names hosts that need none)'
        )
    if not parts.hostname or not _printable(value):
        raise ConfigurationError(f"{source} is not the URL of a proxy: it names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Proxy(f"{parts.scheme}://{host}:{port or _PORTS[parts.scheme]}", _credentials(parts))


def _credentials(parts: SplitResult) -> tuple[str, str] | None:
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def _printable(value: str) -> bool:
    return value.isprintable() and " " not in value


def _matches(entry: str, name: str, port: int) -> bool:
    """Whether an entry of NO_PROXY means this host: ``*``, a network, or a host or domain, each maybe with a port."""
    if entry == "*":
        return True
    host, wanted = _split(entry)
    if wanted is not None and wanted != port:
        return False
    try:
        address = ip_address(name)
    except ValueError:
        domain = host.removeprefix("*").lstrip(".").rstrip(".")
        return bool(domain) and (name == domain or name.endswith(f".{domain}"))
    try:
        return address in ip_network(host, strict=False)
    except ValueError:
        return False


def _split(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry; an IPv6 address with a port stands in brackets."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    else:
        host, port = entry, ""
    return host, int(port) if port.isascii() and port.isdigit() else None


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _from_environment(environment: Mapping[str, str]) -> ssl.SSLContext | None:
    chosen = {name: environment.get(name, "").strip() for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    if not any(chosen.values()):
        chosen = {"REQUESTS_CA_BUNDLE": environment.get("REQUESTS_CA_BUNDLE", "").strip()}
    paths = {name: path for name, path in chosen.items() if path}
    if not paths:
        return None
    file = folder = None
    for name, path in paths.items():
        if os.path.isdir(path) and name != "SSL_CERT_FILE":
            folder = path
        elif os.path.isfile(path) and name != "SSL_CERT_DIR":
            file = path
        else:
            raise ConfigurationError(f"{name}={path} is not there: it has to name certificates of authorities")
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except OSError as error:  # ssl.SSLError is one
        said = error.strerror or type(error).__name__
        raise ConfigurationError(f"{' and '.join(paths)}: the certificates cannot be read ({said})") from None


def _store_is_empty() -> bool:
    """Whether Python finds no certificates of the system, as in a small container or a fresh Python on macOS."""
    if sys.platform == "win32":
        return False
    paths = ssl.get_default_verify_paths()
    return not paths.cafile and not (paths.capath and os.listdir(paths.capath))


def _bundled() -> ssl.SSLContext | None:
    try:
        bundle: str = import_module("certifi").where()
    except ModuleNotFoundError:
        return None
    return ssl.create_default_context(cafile=bundle)
