"""What the commands share: how one is described, flags that several take, and how results are shown."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from absl import flags

from tcvae_tf.settings import Run

#: Forms that a flag can have, by the type of a field of Run.
_FORMS: dict[type, Any] = {str: flags.DEFINE_string, int: flags.DEFINE_integer, float: flags.DEFINE_float}


class Command(NamedTuple):
    """One command.

    Attributes:
      define: makes its flags.
      act: does it, given the flags and the words beside them; what it returns is the exit code, None for 0.
      takes: the words beside flags: "RUN PATH", "FILE [FILE]", "[ROOT ...]".
      summary: a line for `tcvae --help`.
      examples: for its own help.
      more: what else that says.
      resumes: whether the same command goes on where it was stopped.
      lenient: whether it says itself what is wrong with its words.
    """

    define: Callable[[], flags.FlagValues]
    act: Callable[[Any, list[str]], int | None]
    takes: str
    summary: str
    examples: Sequence[str]
    more: str = ""
    resumes: bool = False
    lenient: bool = False

    def fits(self, count: int) -> bool:
        """Whether it takes so many words beside its flags."""
        if self.lenient:
            return True
        words = self.takes.replace(" ...", "...").split()
        least = sum(not word.startswith("[") for word in words)
        return least <= count <= (math.inf if "..." in self.takes else len(words))


class UnusableError(ValueError):
    """Flags that are well-formed and cannot be used: an unknown name, a number out of range."""


@contextlib.contextmanager
def usable() -> Iterator[None]:
    """Takes a ValueError of what is made from flags for the flags' own."""
    try:
        yield
    except ValueError as error:
        raise UnusableError(str(error)) from error


def run_flags(values: flags.FlagValues, without: Collection[str] = (), defaults: bool = True) -> None:
    """A flag for each field of Run, but for some; with Run's default, or none where something else has it."""
    for field in dataclasses.fields(Run):
        if field.name not in without:
            form = _FORMS[type(field.default)]
            form(field.name, field.default if defaults else None, field.metadata["help"], flag_values=values)


def given(values: flags.FlagValues) -> dict[str, Any]:
    """The fields of Run that flags say."""
    names = [field.name for field in dataclasses.fields(Run) if field.name in values]
    return {name: values[name].value for name in names if values[name].present}


def root_flag(values: flags.FlagValues) -> None:
    flags.DEFINE_string("root", "runs", "directory of all runs", flag_values=values)


def json_flag(values: flags.FlagValues) -> None:
    flags.DEFINE_boolean("json", False, "print the result as JSON and nothing else", flag_values=values)


def out_flag(values: flags.FlagValues, default: str, meaning: str) -> None:
    flags.DEFINE_string("out", default, meaning, short_name="o", flag_values=values)


def quiet_flag(values: flags.FlagValues) -> None:
    flags.DEFINE_boolean("quiet", False, "no progress bars", flag_values=values)


def show(values: Any, text: str, result: Any) -> None:
    """Prints a result for people, or for scripts where they ask for it."""
    print(json.dumps(result, indent=2) if values.json else text.rstrip("\n"))


def check_picture(path: str, *suffixes: str) -> None:
    """
    Raises:
      UnusableError: the path ends in none of these.
    """
    if not path.lower().endswith(suffixes):
        raise UnusableError(f"--out: {path} does not end in {' or '.join(suffixes)}")


def note(line: str) -> None:
    """Prints what is not the result."""
    print(line, file=sys.stderr)


@contextlib.contextmanager
def aside(quiet: bool) -> Iterator[None]:
    """Has what is printed meanwhile, bars among it, stay out of the result: on standard error, or nowhere."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere if quiet else sys.stderr):
        yield


def size(count: float) -> str:
    """Bytes, for people."""
    for unit, shown in ((1e9, "{:,.2f} GB"), (1e6, "{:,.1f} MB")):
        if count >= unit:
            return shown.format(count / unit)
    return f"{count / 1e3:,.1f} kB"
