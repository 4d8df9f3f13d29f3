"""The command line `tcvae`. No TensorFlow before a command needs it.

Exit codes: 0 done, 1 failed, 2 unusable flags, 130 interrupted. Standard output holds the result and nothing else;
what is said on the way, bars where there is a terminal, goes to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from absl import flags

from tcvae_tf import memory
from tcvae_tf.cli import keeping, models, scores, sweeping, tables, training
from tcvae_tf.cli.command import Command, UnusableError
from tcvae_tf.version import __version__
from tcvae_tf.words import nearest, suggest

_COMMANDS: dict[str, Command] = {
    "train": training.TRAIN,
    "sweep": sweeping.SWEEP,
    "compare": training.COMPARE,
    "table": tables.TABLE,
    "score": scores.SCORE,
    "traverse": models.TRAVERSE,
    "explore": models.EXPLORE,
    "export": models.EXPORT,
    "data": keeping.DATA,
    "clean": keeping.CLEAN,
}

_USAGE = """tcvae: β-TCVAE and its baselines, trained and measured.

{commands}
  {help:<30}what COMMAND takes, with examples
  tcvae --version

Examples:
{examples}

A RUN is the id of a run in --root, a beginning of it that no other has, or a path. What was cut off goes on where it
stopped when the same command is given again. Exit codes: 0 done, 1 failed, 2 unusable flags, 130 interrupted.
The figures of the paper: python -m reproduce --help, in a checkout of the repository.
"""


def _usage() -> str:
    lines = [f"  {f'tcvae {name} {command.takes}':<30}{command.summary}" for name, command in _COMMANDS.items()]
    examples = [f"  {command.examples[0]}" for command in _COMMANDS.values()]
    return _USAGE.format(commands="\n".join(lines), examples="\n".join(examples), help="tcvae COMMAND --help")


def _help(name: str, command: Command, values: flags.FlagValues) -> str:
    head = " ".join(f"tcvae {name} {command.takes} [--FLAG=VALUE ...]".split())
    examples = "\n".join(f"  {line}" for line in command.examples)
    parts = [head, f"{command.summary[0].upper()}{command.summary[1:]}.", command.more, f"Examples:\n{examples}"]
    options = dict.fromkeys(values[flag] for flag in values)
    lines = [f"  {_shown(flag)}".ljust(34) + f" {flag.help.partition(';' + chr(10))[0]}" for flag in options]
    return "\n\n".join(part.rstrip("\n") for part in [*parts, "\n".join(lines)] if part)


def _shown(flag: flags.Flag) -> str:
    """A flag with its default, as it could be written."""
    if flag.boolean:
        return f"--{flag.name}"
    default = "..." if flag.default is None else flag.default
    return f"--{flag.name}={','.join(default) if isinstance(default, list) else default}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    memory.collect_rarely()
    try:
        code = _main(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # nobody reads on, as in `tcvae table | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _main(words: list[str]) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # module:function is looked for beside the command too
    if words == ["--version"]:
        print(__version__)
        return 0
    if words[:1] == ["help"] and words[1:]:
        words = [words[1], "--help"]
    if not words or words[0] in ("--help", "-h", "help"):
        print(_usage())
        return 0 if words else 2
    if words[0] not in _COMMANDS:
        print(f"tcvae: unknown command {words[0]!r}; {suggest(words[0], list(_COMMANDS))}", file=sys.stderr)
        return 2
    return _command(words[0], words[1:])


def _command(name: str, words: Sequence[str]) -> int:
    command = _COMMANDS[name]
    values = command.define()
    if {"--help", "-h"} & set(words):
        print(_help(name, command, values))
        return 0
    try:
        rest = values([f"tcvae {name}", *words])[1:]
        if rest and not command.takes:
            raise flags.Error(f"{rest[0]!r} is no flag; write --name=value")
        if not command.fits(len(rest)):
            raise flags.Error(f"takes {command.takes}; got {' '.join(rest) or 'nothing'}")
        return command.act(values, rest) or 0
    except flags.UnrecognizedFlagError as error:
        near = nearest(error.flagname, values)
        remedy = f"did you mean --{near}? " if near else ""
        if error.flagname == "root" and "ROOT" in command.takes:
            remedy = f"the directory is a word by itself, tcvae {name} ROOT; "
        print(f"tcvae {name}: unknown flag --{error.flagname}; {remedy}see tcvae {name} --help", file=sys.stderr)
        return 2
    except (flags.Error, UnusableError) as error:
        print(f"tcvae {name}: {_line(error)}; see tcvae {name} --help", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tcvae: stopped" + ("; the same command goes on where it was" * command.resumes), file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, LookupError, OSError, ImportError, RuntimeError, ArithmeticError) as error:
        kind = f"{type(error).__name__}: " if type(error) in (KeyError, IndexError, ZeroDivisionError) else ""
        print(f"tcvae {name}: {kind}{_line(error).removeprefix(f'{name}: ')}", file=sys.stderr)
        return 1


def _line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:1000]
