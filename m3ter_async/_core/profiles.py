"""Named settings in a file, for those who call several organizations."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import ConfigurationError
from .identity import exported, secret
from .settings import positive, whole

_log = logging.getLogger("m3ter_async")
_SECRETS = ("api_key", "api_secret", "token")
_TEXTS = (*_SECRETS, "org_id", "base_url", "ingest_base_url")
_LOGIN = frozenset(_SECRETS)
_WHO = ("api_key", "token")  # what tells one login from another


def _any_rate(name: str, value: object) -> object:
    return None if value == "none" else positive(name, value)


def _from_zero(name: str, value: object) -> object:
    return whole(name, value, 0)


_NUMBERS: Mapping[str, Callable[[str, object], object]] = {
    "timeout": positive,
    "total_timeout": positive,
    "max_retry_time": positive,
    "max_retries": _from_zero,
    "rate_limit": _any_rate,
    "max_connections": whole,
    "max_response_bytes": whole,
}


def profile(name: str | None, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The arguments of a client that a profile stands for: what is given, then the environment, then the file.

    Args:
        name: That of the profile; None for the one that ``M3TER_PROFILE`` names, or else ``default``.
        given: Arguments that were passed; those that are None are not.

    Returns:
        Where it stands, for errors, and the arguments. What the environment has is not among them.

    Raises:
        ConfigurationError: There is no such file or profile, or it cannot be used. No value is shown.
    """
    named = name if name is not None else os.environ.get("M3TER_PROFILE", "").strip() or "default"
    path = config_path()
    where = f"profile {named!r} in {path}"
    found = _checked(_read(path, named), where)
    arguments = {key: value for key, value in given.items() if value is not None}
    elsewhere = {key: text for key in _TEXTS if (text := exported(key)) is not None}
    if _LOGIN & arguments.keys():
        elsewhere = {key: text for key, text in elsewhere.items() if key not in _LOGIN}
        other = any(arguments.get(key, found.get(key)) != found.get(key) for key in _WHO)
    else:
        other = any(key in elsewhere and elsewhere[key].value != found.get(key) for key in _WHO)
    for key, text in elsewhere.items():
        if key in found and key not in arguments and found.pop(key) != text.value:
            _log.warning("%s takes the place of %s of %s", text.name, key, where)
    if other:  # one login is never put together from two: a key goes with its own secret
        found = {key: value for key, value in found.items() if key not in _LOGIN}
    if "limiter" in arguments:  # which has a rate of its own
        found.pop("rate_limit", None)
    return where, {**found, **arguments}


def config_path() -> Path:
    """The file of profiles: the one that ``M3TER_CONFIG`` names, or else the one in the user's folder of settings."""
    if named := os.environ.get("M3TER_CONFIG", "").strip():
        return Path(named).expanduser()
    if sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "m3ter" / "config.toml"


def _read(path: Path, name: str) -> Mapping[str, object]:
    import tomllib  # only for those who have profiles

    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except OSError as error:
        reason = f"no file of profiles can be read at {path} ({error.strerror})"
        raise ConfigurationError(f"{reason}: make it, or name another in M3TER_CONFIG") from None
    try:
        profiles = tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
    else:
        found = profiles.get(name)
        if not isinstance(found, dict):
            raise ConfigurationError(f"there is no profile {name!r} in {path}: {_others(profiles)}")
        fields = cast("dict[str, object]", found)
        if os.name == "posix" and mode & 0o044 and _LOGIN & fields.keys():
            text = f"{path} holds secrets and can be read by other users: run chmod 600 on it"
            warnings.warn(text, UserWarning, stacklevel=4)
        # masked as soon as it is read: a traceback may show local variables
        return {
            key: secret(value) if key in _SECRETS and isinstance(value, str) else value for key, value in fields.items()
        }
    raise ConfigurationError(f"{path} is not TOML: {reason}")


def _others(profiles: Mapping[str, object]) -> str:
    names = sorted(name for name, value in profiles.items() if isinstance(value, dict))
    return f"it has {', '.join(map(repr, names))}" if names else "it has none, such as [acme] with org_id = ..."


def _checked(found: Mapping[str, object], where: str) -> dict[str, Any]:
    for key, value in found.items():
        if key not in _TEXTS and key not in _NUMBERS:
            from difflib import get_close_matches  # only where something is misspelt

            near = get_close_matches(key, (*_TEXTS, *_NUMBERS), 1)
            raise ConfigurationError(
                f"{where} has {key!r}, which is no setting" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        if key in _NUMBERS:
            if isinstance(value, str) and (key, value) != ("rate_limit", "none"):
                raise ConfigurationError(f"{where}: {key} must be a number, not a text")
            try:
                _NUMBERS[key](key, value)
            except ConfigurationError as error:
                raise ConfigurationError(f"{where}: {error}") from None
        elif not isinstance(value, str) or not value:
            raise ConfigurationError(f"{where}: {key} must be a text that is not empty")
    return {key: None if (key, value) == ("rate_limit", "none") else value for key, value in found.items()}
