"""The lazy command table, and how errors become one line and an exit code."""

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from edge_qa import __version__
from edge_qa.errors import (
    BundleError,
    CalibrationError,
    CheckpointError,
    EdgeQAError,
    InferenceError,
    InputError,
    MissingExtraError,
    ResourceError,
    VerificationError,
    is_out_of_memory,
    out_of_memory,
)

EXIT_CODES: dict[type[EdgeQAError], int] = {
    VerificationError: 1,
    CalibrationError: 1,
    BundleError: 3,
    CheckpointError: 3,
    InputError: 4,
    InferenceError: 5,
    MissingExtraError: 2,  # before ResourceError, which it is, too
    ResourceError: 6,
}
_INTERNAL = 70
_COMPLETE = "_EDGE_QA_COMPLETE"  # set by the shell's completion script
_COMMAND = "edge_qa.cli.command"  # where the context keeps the command that was called
_SIGNALLED = 128  # and the number of the signal, as shells have it
_PARAMETER = re.compile(r"`([a-z_]+)`")  # a parameter of Python, in the remedy of an error


@dataclass(frozen=True)
class Entry:
    """Where a command lives, and its line in --help; attribute: its name there, if it cannot be the command's own.

    hidden: works, but is not listed: a name of an earlier release.
    """

    module: str
    help: str
    attribute: str | None = None
    hidden: bool = False


# Commands are imported when they are called: `ask` must work where nothing but the four core
# packages is installed, and `--help` must not wait for any of them.
COMMANDS: dict[str, Entry] = {
    "ask": Entry("edge_qa.cli.ask", "Answer questions from a text."),
    "batch": Entry("edge_qa.cli.batch", "Answer JSON lines of questions with JSON lines of answers."),
    "bench": Entry("edge_qa.cli.bench", "Time bundles: cold start, latency by length, memory."),
    "calibrate-confidence": Entry(
        "calibration.cli.calibrate_confidence", "Fit how sure a bundle's answers are.", "calibrate_confidence"
    ),
    "convert": Entry("converters.cli.convert", "Turn a checkpoint into a bundle."),
    "demo": Entry("calibration.cli.demo", "Convert, quantize, score and ask on a checkpoint."),
    "doctor": Entry("edge_qa.cli.doctor", "Check this machine, and whether a bundle runs right on it."),
    "evaluate": Entry("edge_qa.cli.evaluate", "Score and time bundles on a data set."),
    "export": Entry("converters.cli.export", "Write a bundle for another server: OVMS, MLServer, Triton."),
    "import": Entry("converters.cli.import_model", "Turn an OpenVINO or ONNX model into a bundle.", "import_command"),
    "index": Entry("edge_qa.cli.documents.index", "Index folders of documents, to search and ask them."),
    "inspect": Entry("edge_qa.cli.inspect", "Show what a bundle or a checkpoint holds."),
    "mcp": Entry("edge_qa.cli.documents.mcp", "Serve indexed documents to an assistant (MCP)."),
    "pack-native": Entry(
        "converters.cli.pack_native", "Prepare a bundle for the native engine of edge-qa-kernels.", "pack_native"
    ),
    "quantize": Entry("calibration.cli.quantize", "Turn a bundle into a smaller, faster INT8 bundle."),
    "search": Entry("edge_qa.cli.documents.search", "Find passages in indexed documents."),
    "search-budgets": Entry(
        "calibration.cli.search_budgets", "Find faster token budgets for a bundle.", "search_budgets"
    ),
    "search-lengths": Entry(
        "calibration.cli.search_budgets", "The earlier name of search-budgets.", "search_budgets", hidden=True
    ),
    "serve": Entry("edge_qa.cli.serve", "Answer questions over HTTP."),
    "shrink": Entry("calibration.cli.shrink", "Remove heads and neurons of a checkpoint, without training."),
    "sparsify": Entry("calibration.cli.sparsify", "Prune a checkpoint in one shot: weights, heads or neurons."),
    "train": Entry("calibration.cli.train", "Train a checkpoint by a recipe: distil, prune, make sparse."),
    "verify-citation": Entry(
        "edge_qa.cli.documents.verify_citation",
        "Check that cited answers still stand there.",
        "verify_citation",
    ),
}


class LazyGroup(click.Group):
    """A group whose commands are imported only when one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names that --help lists."""
        return sorted(name for name, entry in COMMANDS.items() if not entry.hidden)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command by its name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(entry.module), entry.attribute or cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the arguments; where there is none, say which is alike."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib  # here, because only a mistake needs it

            alike = difflib.get_close_matches(name, self.list_commands(ctx), 1)
            hint = f"did you mean {alike[0]}?" if alike else "edge-qa --help lists the commands."
            ctx.fail(f"No such command {name!r}; {hint}")
        found = super().resolve_command(ctx, args)
        ctx.meta[_COMMAND] = found[1]
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", package_name="edge-qa", prog_name="edge-qa")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Answer questions from text on a CPU, in milliseconds.

    Exit codes: 0 done, 1 a negative verdict, 2 wrong usage, 3 bundle or checkpoint, 4 input,
    5 inference, 6 resources, 70 an internal error, 130 interrupted, 143 terminated.
    """


class _Signalled(KeyboardInterrupt):
    """A signal that ends a service or a terminal: everything cleans up as at Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise _Signalled(number)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line with these arguments, those of the process if None, and exit."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(ending, _end)
    _replace_closed_streams()
    debug, as_json = "--debug" in given, "--json" in given
    command: click.Command | None = None
    try:
        if _COMPLETE in os.environ:
            from click.shell_completion import shell_complete

            sys.exit(shell_complete(cli, {}, "edge-qa", _COMPLETE, os.environ[_COMPLETE]))
        # Not cli.main(): that turns a closed pipe into exit code 1, which means a verdict here.
        with cli.make_context("edge-qa", given) as context:
            try:
                cli.invoke(context)
            finally:
                command = context.meta.get(_COMMAND)
        sys.stdout.flush()
        sys.exit(0)
    except click.exceptions.Exit as request:
        sys.exit(request.exit_code)
    except (click.Abort, KeyboardInterrupt) as stop:
        # A command that can go on later says so in what it raises.
        click.echo(f"interrupted; {str(stop) or 'nothing was left half-written'}", err=True)
        cause = stop if isinstance(stop, _Signalled) else stop.__context__
        sys.exit(_SIGNALLED + (cause.number if isinstance(cause, _Signalled) else signal.SIGINT))
    except click.ClickException as error:
        error.show()
        if as_json:
            _report("UsageError", error.format_message())
        sys.exit(error.exit_code)
    except EdgeQAError as error:
        if debug:
            _show_traceback()
        if is_out_of_memory(error):
            _fail(out_of_memory(error.where), 6, command, as_json)
        # The root itself is what a worker of a service sends of a fault.
        code = next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), _INTERNAL)
        _fail(error, code, command, as_json)
    except BrokenPipeError:
        # The reader has gone.
        _discard_output()
        sys.exit(0)
    except OSError as error:
        if debug:
            _show_traceback()
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            _discard_output()
        if is_out_of_memory(error):
            _fail(out_of_memory(), 6, command, as_json)
        where = error.filename if isinstance(error.filename, str) else "standard output or a file"
        _fail(ResourceError(f"cannot be read or written ({error.strerror or error})", where=where), 6, command, as_json)
    except Exception as error:
        if debug:
            _show_traceback()
        if is_out_of_memory(error):
            _fail(out_of_memory(), 6, command, as_json)
        kind = type(error).__name__
        internal = EdgeQAError(
            f"internal error ({kind}: {error})", remedy="run again with edge-qa --debug and report it"
        )
        _fail(internal, _INTERNAL, command, as_json)


def _show_traceback() -> None:
    """For --debug: the line and the exit code follow, as without it."""
    import traceback  # here, because only a mistake needs it

    click.echo(traceback.format_exc().encode("utf-8", "backslashreplace").decode(), err=True, nl=False)


def _replace_closed_streams() -> None:
    """Open what the caller closed of the standard streams, so that their use is an error of its own.

    Otherwise the next file that is opened would get the number of one of them, and what is printed.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # Reading from the first and writing to the second fails; nobody reads the third.
            os.open(os.devnull, mode)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _fail(error: EdgeQAError, code: int, command: click.Command | None, as_json: bool) -> NoReturn:
    told = in_options(str(error), command)
    line = " ".join(f"error: {told}".split("\n")).encode("utf-8", "backslashreplace").decode()
    click.echo(line, err=True)
    if as_json:
        _report(type(error).__name__, told)
    sys.exit(code)


def in_options(message: str, command: click.Command | None) -> str:
    """Return an error's message with the command's options in place of Python's parameters in backticks."""
    flags = {} if command is None else {str(p.name): p.opts[0] for p in command.params if isinstance(p, click.Option)}

    def flag(match: re.Match[str]) -> str:
        name = match[1]
        return flags.get(name, flags.get(f"as_{name}", flags.get(f"{name}_file", name)))

    return _PARAMETER.sub(flag, message)


def _report(kind: str, message: str) -> None:
    """With --json a program reads stdout: it finds the error there, as JSON."""
    try:
        echo_json({"error": {"kind": kind, "message": message}})
    except OSError:
        _discard_output()


def _discard_output() -> None:
    """Keep the interpreter from complaining when it flushes at exit what nobody can take."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def echo_json(value: Any) -> None:
    """Print one result as JSON on stdout."""
    # A file name that is not UTF-8 holds lone surrogates; as escapes they are JSON.
    text = json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
    click.echo(text.decode())
