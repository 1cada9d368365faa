"""The lazy command table, and how errors become one line and an exit code."""

import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from importlib import import_module
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
    ResourceError,
    VerificationError,
)

EXIT_CODES: dict[type[EdgeQAError], int] = {
    VerificationError: 1,
    CalibrationError: 1,
    BundleError: 3,
    CheckpointError: 3,
    InputError: 4,
    InferenceError: 5,
    ResourceError: 6,
}
_COMPLETE = "_EDGE_QA_COMPLETE"  # set by the shell's completion script
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@dataclass(frozen=True)
class Entry:
    """Where a command lives, and its line in --help; attribute: its name there, if it cannot be the command's own."""

    module: str
    help: str
    attribute: str | None = None


# Commands are imported when they are called: `ask` must work where nothing but the four core
# packages is installed, and `--help` must not wait for any of them.
COMMANDS: dict[str, Entry] = {
    "ask": Entry("edge_qa.cli.ask", "Answer questions from a text."),
    "batch": Entry("edge_qa.cli.batch", "Answer JSON lines of questions with JSON lines of answers."),
    "bench": Entry("edge_qa.cli.bench", "Time bundles: cold start, latency by length, memory."),
    "convert": Entry("converters.cli.convert", "Turn a checkpoint into a bundle."),
    "demo": Entry("calibration.cli.demo", "Convert, quantize, score and ask on a checkpoint."),
    "doctor": Entry("edge_qa.cli.doctor", "Check this machine, and whether a bundle runs right on it."),
    "evaluate": Entry("edge_qa.cli.evaluate", "Score and time bundles on a data set."),
    "import": Entry("converters.cli.import_model", "Turn an OpenVINO or ONNX model into a bundle.", "import_command"),
    "inspect": Entry("edge_qa.cli.inspect", "Show what a bundle or a checkpoint holds."),
    "quantize": Entry("calibration.cli.quantize", "Turn a bundle into a smaller, faster INT8 bundle."),
    "search-lengths": Entry(
        "calibration.cli.search_budgets", "Find faster token-drop budgets for a bundle.", "search_lengths"
    ),
    "shrink": Entry("calibration.cli.shrink", "Remove heads and neurons of a checkpoint, without training."),
    "sparsify": Entry("calibration.cli.sparsify", "Prune a checkpoint in one shot: weights, heads or neurons."),
    "train": Entry("calibration.cli.train", "Train a checkpoint by a recipe: distil, prune, make sparse."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported only when one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(entry.module), entry.attribute or cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="edge-qa", prog_name="edge-qa")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Answer questions from text on a CPU, in milliseconds.

    Exit codes: 0 done, 1 a negative verdict, 2 wrong usage, 3 bundle or checkpoint, 4 input,
    5 inference, 6 resources, 70 an internal error, 130 interrupted.
    """


def main() -> NoReturn:
    """Run the command line and exit."""
    debug = "--debug" in sys.argv
    # What ends a service or a terminal cleans up as Ctrl-C does.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(ending, signal.default_int_handler)
    try:
        if _COMPLETE in os.environ:
            from click.shell_completion import shell_complete

            sys.exit(shell_complete(cli, {}, "edge-qa", _COMPLETE, os.environ[_COMPLETE]))
        # Not cli.main(): that turns a closed pipe into exit code 1, which means a verdict here.
        with cli.make_context("edge-qa", sys.argv[1:]) as context:
            cli.invoke(context)
        sys.stdout.flush()
        sys.exit(0)
    except click.exceptions.Exit as request:
        sys.exit(request.exit_code)
    except (click.Abort, KeyboardInterrupt) as stop:
        # A command that can go on later says so in what it raises.
        click.echo(f"interrupted; {str(stop) or 'nothing was left half-written'}", err=True)
        sys.exit(_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        _report("UsageError", error.format_message())
        sys.exit(error.exit_code)
    except EdgeQAError as error:
        if debug:
            raise
        _fail(error, next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))
    except BrokenPipeError:
        # The reader has gone.
        _discard_output()
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            _discard_output()
        where = error.filename if isinstance(error.filename, str) else "standard output or a file"
        _fail(ResourceError(f"{where}: cannot be read or written ({error.strerror or error})"), 6)
    except MemoryError:
        _fail(ResourceError("out of memory; close other programs, or use a smaller model or input"), 6)
    except Exception as error:
        if debug:
            raise
        kind = type(error).__name__
        _fail(EdgeQAError(f"internal error ({kind}: {error}); run again with edge-qa --debug and report it"), 70)


def _fail(error: EdgeQAError, code: int) -> NoReturn:
    line = " ".join(f"error: {error}".split("\n")).encode("utf-8", "backslashreplace").decode()
    click.echo(line, err=True)
    _report(type(error).__name__, str(error))
    sys.exit(code)


def _report(kind: str, message: str) -> None:
    """With --json a program reads stdout: it finds the error there, as JSON."""
    if "--json" in sys.argv:
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
