"""``m3ter-async completion``: what a shell offers when Tab is pressed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module

from .client_options import OPTIONS
from .console import PROGRAM, CommandFailed, put

_BASH = """_m3ter_async() {
  local IFS=$'\\n'
  COMPREPLY=($(m3ter-async completion --words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -o nosort -F _m3ter_async m3ter-async
"""
_ZSH = """#compdef m3ter-async
_m3ter_async() {
  local -a found
  found=("${(@f)$(m3ter-async completion --words "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then compadd -- $found; else _files; fi
}
compdef _m3ter_async m3ter-async
"""
_FISH = """function _m3ter_async
  set -l found (m3ter-async completion --words (commandline -opc)[2..] (commandline -ct) 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c m3ter-async -f -a '(_m3ter_async)'
"""
_SHELLS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
# Where the parser of a command is made, which knows its options.
_PARSERS = {"export": ".export", "sync": ".sync", "sandbox": "..sandbox.__main__"}
_HELP = f"""usage: {PROGRAM} completion bash|zsh|fish

Print what makes Tab complete commands, operations, listings and options. Where to put it:

  {PROGRAM} completion bash > ~/.local/share/bash-completion/completions/{PROGRAM}
  {PROGRAM} completion zsh  > ~/.zfunc/_{PROGRAM}    # a folder of $fpath
  {PROGRAM} completion fish > ~/.config/fish/completions/{PROGRAM}.fish
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    first = arguments[0] if arguments else "--help"
    if first == "--words":
        put(sys.stdout, "".join(f"{each}\n" for each in words(arguments[1:])))
    elif first in ("-h", "--help"):
        put(sys.stdout, _HELP)
    elif first in _SHELLS and len(arguments) == 1:
        put(sys.stdout, _SHELLS[first])
    else:
        raise CommandFailed(f"completion: give one of {', '.join(_SHELLS)}")
    return 0


def words(line: Sequence[str]) -> list[str]:
    """What can stand in place of the last word of a command line.

    Args:
        line: The words after the program's name; the last one is being typed, and may be empty.
    """
    from . import _COMMANDS

    *before, typed = line or [""]
    if not before:
        offered: Iterable[str] = [*_COMMANDS, "--help", "--version"]
    elif before[0] == "call":
        offered = _of_call(before[1:], typed)
    elif before[0] == "completion":
        offered = _SHELLS
    elif before[0] in _PARSERS:
        parser: argparse.ArgumentParser = import_module(_PARSERS[before[0]], __package__).parser()
        offered = _of_parser(parser, before[1:], typed)
    else:
        offered = []
    return sorted(each for each in offered if each.startswith(typed))


def _of_call(before: Sequence[str], typed: str) -> Iterable[str]:
    from .call import FLAGS
    from .methods import every, find

    operation = next((each for each in before if not each.startswith("-")), None)
    if operation is None and not typed.startswith("-"):
        resources = {each.name.rpartition(".")[0] for each in every()}
        return resources if "--list" in before else [each.name for each in every()]
    offered = {*FLAGS, "--output", "--limit", *(each.name for each in OPTIONS)}
    if before and before[-1] == "--output":
        return ["json", "table"]
    if operation is not None:
        try:
            parameters = find(operation).parameters
        except CommandFailed:
            return []
        if before[-1] in parameters:
            return parameters[before[-1]].choices
        offered |= set(parameters)
    return offered if typed.startswith("-") else []


def _of_parser(known: argparse.ArgumentParser, before: Sequence[str], typed: str) -> Iterable[str]:
    last = next((each for each in known._actions if before and before[-1] in each.option_strings), None)
    if last is not None and last.nargs is None:  # one that takes a value
        return [str(each) for each in last.choices or ()]
    if typed.startswith("-"):
        return [name for each in known._actions for name in each.option_strings]
    return _listings() if any(each.dest == "resources" for each in known._actions) else []


def _listings() -> list[str]:
    from .methods import every

    return sorted({each.name.removesuffix(".list") for each in every() if each.listing})
