"""The reference of the command line, read from click."""

from collections.abc import Iterator
from inspect import cleandoc

import click

from edge_qa.cli.app import EXIT_CODES, cli


def command_line() -> str:
    """Return every command that is not hidden, with all of its options, as Markdown."""
    return "\n".join(line for name in command_names() for line in _command(name))


def command_names() -> list[str]:
    """Return the names of the commands that `edge-qa --help` shows."""
    with _context() as context:
        found = [(name, cli.get_command(context, name)) for name in cli.list_commands(context)]
    return [name for name, command in found if command is not None and not command.hidden]


def exit_codes() -> dict[str, int]:
    """Return the exit code of each error class, by its name."""
    return {kind.__name__: code for kind, code in EXIT_CODES.items()}


def help_of(name: str) -> click.Command:
    """Return a command as click has it."""
    with _context() as context:
        command = cli.get_command(context, name)
    assert command is not None
    return command


def _context() -> click.Context:
    return click.Context(cli, info_name="edge-qa")


def _command(name: str) -> Iterator[str]:
    command = help_of(name)
    with _context() as parent, click.Context(command, info_name=name, parent=parent) as context:
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"\n## edge-qa {name}\n"
        yield _markdown(command.help or "") + "\n"
        yield f"```text\nedge-qa {name} {usage}\n```\n"
        yield "| option | meaning |"
        yield "|---|---|"
        for parameter in command.params:
            record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
            if record is not None:
                option, meaning = record
                yield f"| {_code(option)} | {_cell(meaning)} |"
        yield ""


def _markdown(text: str) -> str:
    """Docstrings are cut at \\f, and click's blocks begin with \\b."""
    return _escape(cleandoc(text.split("\f")[0]).replace("\b\n", ""))


def _code(option: str) -> str:
    return f"`{option}`".replace("|", "\\|")


def _cell(text: str) -> str:
    return " ".join(_escape(text).split()).replace("|", "\\|")


def _escape(text: str) -> str:
    for special in ("\\", "*", "_", "<", "[", "{"):
        text = text.replace(special, f"\\{special}")
    return text
