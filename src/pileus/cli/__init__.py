"""The `pileus` command. Each subcommand is a module, imported when it is asked for."""

from __future__ import annotations

import importlib

import click

from pileus import __version__

_COMMANDS = {
    "start": "Run Pileus in the foreground until Ctrl-C or SIGTERM.",
    "status": "Show whether Pileus runs, its services, loops and environments.",
    "doctor": "Show what this machine can do, what is missing and how to get it.",
    "runtimes": "List the runtimes of functions and what they run on here; install more.",
    "invoke": "Invoke a function and print its answer.",
    "watch": "Update a function's code from a folder, each time something is saved there.",
    "logs": "Print a log group's events.",
    "dynamodb": "List tables, or print the items of one.",
    "bill": "Show what a month's functions would have cost on AWS.",
    "reset": "Forget everything in a data folder.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"pileus.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pileus")
def main() -> None:
    """The AWS serverless platform on a machine of your own."""
