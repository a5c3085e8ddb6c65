"""The command line: the only place that prints, draws progress, or exits.

Exit codes: 0 done, 1 failed, 2 the user's input is wrong, 3 done but the goal is missed.
"""

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from compress import __version__
from compress.cli import bench, chain, doctor, init, lineage, plan, predict, recipes, report, run, shrink, stages, store
from compress.cli.help_pages import Group
from compress.cli.interrupt import ended_by_signals
from compress.cli.verbs import refusals, warn_of_refused
from compress.errors import CompressError, InputError, nearest, proposed
from compress.unexpected import error_to_show

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
KEPT = "; finished steps and checkpoints are kept: run the same command again to go on"
KEEPS_NOTHING = ("bench", "compare", "doctor", "plan", "predict")
"""Commands that start anew after Ctrl-C."""

NO_COMMAND = "No such command "
"""The beginning of Typer's message for an unknown command."""


class _Commands(Group):
    """The commands. For a command of a plug-in that cannot be used, the error says why."""

    def get_command(self, ctx: Any, name: str) -> Any:
        """The command of that name."""
        command = super().get_command(ctx, name)
        for refused in refusals(name).values() if command is None else ():
            raise refused
        return command


app = typer.Typer(
    name="compress",
    cls=_Commands,
    suggest_commands=False,  # `did you mean` is said in one way everywhere
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Typer's boxes cut long options off in a narrow terminal: see help_pages
    epilog="\n".join(
        (
            "compress init --model model/ --train reviews.csv   # writes recipe.yaml",
            "compress run recipe.yaml                           # makes, measures, reports",
            "compress run quickstart                            # a recipe that is shipped",
        )
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_asked_for: bool) -> None:
    if is_asked_for:
        print(f"compress {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Shrink models by recipe, export them to ONNX, and measure what each step bought."""


for group in (shrink, init, plan, run, recipes, stages, chain, bench, report, predict, lineage, doctor, store):
    group.register(app)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    _quieten_libraries()
    try:
        line = arguments
        if not arguments or {"--help", "-h"} & set(arguments):
            warn_of_refused()
        arguments, segments = chain.split(arguments or ["--help"])
        invocation = chain.Invocation(line, segments)
        _check_working_folder()
        with ended_by_signals(), _safe_children():
            exit_code = app(args=arguments, obj=invocation, prog_name="compress", standalone_mode=False)
        code = exit_code if isinstance(exit_code, int) else 0
        if code == INTERRUPTED:
            keeps = "" if arguments[0] in KEEPS_NOTHING else KEPT
            sys.stderr.write(f"stopped{keeps}\n")
    except BrokenPipeError:
        code = 1
    except (CompressError, typer.TyperException) as error:
        if debug:
            traceback.print_exc()
        shown_error = error if isinstance(error, CompressError) else _usage_error(error, f"compress {arguments[0]}")
        sys.stderr.write(f"error: {shown_error}\n")
        code = shown_error.exit_code
    except Exception as error:  # noqa: BLE001  the last line of defence: no traceback unless asked for
        if debug:
            traceback.print_exc()
        shown_error = error_to_show(error)
        sys.stderr.write(f"error: {shown_error}\n")
        code = shown_error.exit_code
    sys.exit(code)


def _check_working_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise InputError(
            f"the working folder cannot be read: {error.strerror}",
            fix="it may be gone; change to a folder that is there",
        ) from error


@contextmanager
def _safe_children() -> Iterator[None]:
    """Keep Python processes that libraries start from importing files of the current folder, such as a `json.py`."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _usage_error(error: Any, command: str) -> InputError:
    """Typer's error for a wrong option or argument, in the form of all other errors."""
    message, close = error.format_message(), None
    if context := getattr(error, "ctx", None):
        command = context.command_path
        if hasattr(error, "possibilities"):
            message = error.message
            options = (name for option in context.command.get_params(context) for name in option.opts)
            close = nearest(error.option_name, (name for name in options if name.startswith("-")))
        elif message.startswith(NO_COMMAND):
            name = message.removeprefix(NO_COMMAND).strip("'\".")
            close = nearest(name, context.command.list_commands(context))
    return InputError(
        f"{message[:1].lower()}{message[1:]}".removesuffix("."),
        where=command,
        fix=proposed(close, f"`{command} --help` lists what is accepted"),
    )


def _quieten_libraries() -> None:
    """Keep the libraries' own progress bars and advice off the terminal; the report says what matters."""
    import logging
    import warnings

    logging.getLogger().setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
