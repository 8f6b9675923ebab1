"""The command line. Exit codes: 0 fine, 1 found problems, 2 usage, 3 gateway not reachable."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from pixeltwin import __version__
from pixeltwin.cli import customers, outbox
from pixeltwin.cli.ending import finish

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A first-party gateway for the Meta Pixel.")
errors = Console(stderr=True, highlight=False, soft_wrap=True)

app.add_typer(customers.app, name="customers")
app.add_typer(outbox.app, name="outbox")

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The config file.")]


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"pixeltwin {__version__}")
        raise typer.Exit


@app.command()
def run(
    config: ConfigFile,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, envvar="PIXELTWIN_WORKERS", help="Processes that take hits; 1: all in one. [default: cores]"
        ),
    ] = None,
    lane: Annotated[
        Literal["fast", "flows", "native"],
        typer.Option(help="How hits are read: fast; as flows for mitmproxy's addons; by mitmproxy's own HTTP layer."),
    ] = "fast",
) -> None:
    """Run the gateway."""
    from pixeltwin.cli.back import cores, run_back
    from pixeltwin.cli.run import run_gateway

    count = workers or cores()
    finish(lambda: asyncio.run(run_back(config, count, lane) if count > 1 else run_gateway(config, lane)))


@app.command()
def worker(
    config: ConfigFile,
    admin: Annotated[bool, typer.Option(help="Serve health and metrics where the config says.")] = True,
) -> None:
    """Deliver what gateways keep in a shared outbox, without taking hits."""
    from pixeltwin.cli.worker import run_worker

    finish(lambda: asyncio.run(run_worker(config, admin=admin)))


@app.command()
def demo(
    check: Annotated[bool, typer.Option("--check", help="Drive one scripted visit, print it, exit.")] = False,
    port_base: Annotated[int, typer.Option(help="The gateway's port; the others follow it.")] = 8080,
) -> None:
    """Run a sandbox Meta, a small shop and the gateway on this machine; no account needed."""
    from pixeltwin.cli.demo import run_demo

    finish(lambda: asyncio.run(run_demo(check=check, port_base=port_base)))


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 9100,
    journal: Annotated[Path | None, typer.Option(help="Append every request to this file.")] = None,
) -> None:
    """Run the sandbox Meta alone."""
    from pixeltwin.cli.sandbox import run_sandbox

    finish(lambda: asyncio.run(run_sandbox(port=port, journal=journal)))


@app.command()
def validate(config: ConfigFile) -> None:
    """Check a config file."""
    from pixeltwin.config import load_config

    def check() -> int:
        loaded = load_config(config)
        for warning in loaded.warnings:
            errors.print(f"warning: {warning}", style="yellow", markup=False)
        typer.echo(f"{config}: fine, {len(loaded.pixels)} pixel(s), {len(loaded.warnings)} warning(s)")
        return 0

    finish(check)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the config file: for editors, as `# yaml-language-server: $schema=FILE`."""
    from pixeltwin.config.schema import schema_text

    typer.echo(schema_text())


@app.command(name="test")
def try_cases(
    config: ConfigFile,
    cases: Annotated[
        list[Path] | None, typer.Argument(metavar="CASES…", help="Default: NAME.cases.yaml beside.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a case.")] = False,
) -> None:
    """Run a config's cases: a hit in, a twin or a skip reason out."""
    from pixeltwin.cli.cases import run_cases

    finish(lambda: run_cases(config, cases or [], as_json=as_json))


@app.command()
def explain(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A URL, a HAR, a flow or hits file, -, or an event's id.")
    ],
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The config; none: any pixel.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a hit.")] = False,
    look_up: Annotated[bool, typer.Option("--look-up", help="Ask the config's sources about the customer.")] = False,
    now: Annotated[float | None, typer.Option(help="When the hits arrive, unix seconds; default: now.")] = None,
) -> None:
    """Say what would happen to a hit, step by step. Nothing is sent."""
    from pixeltwin.cli.explain import explain_input

    finish(lambda: explain_input(source, config=config, as_json=as_json, look_up=look_up, now=now or time.time()))


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="The config as it is.")],
    new: Annotated[Path, typer.Argument(help="The config as it would be.")],
    hits: Annotated[str, typer.Argument(metavar="HITS", help="A HAR, a flow file, a hits file, a URL, or -.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a hit that differs.")] = False,
    look_up: Annotated[bool, typer.Option("--look-up", help="Ask both configs' sources about the customers.")] = False,
    now: Annotated[float | None, typer.Option(help="When the hits arrive, unix seconds; default: now.")] = None,
) -> None:
    """Say what a new config would change over recorded hits. Exit code 1 if anything would."""
    from pixeltwin.cli.diff import diff_configs

    finish(lambda: diff_configs(old, new, hits, as_json=as_json, look_up=look_up, now=now or time.time()))


@app.command(name="hash")
def hash_(
    field: Annotated[str | None, typer.Argument(help="One of Meta's keys: em, ph, fn, …")] = None,
    value: Annotated[str | None, typer.Argument(help="What a customer's record says.")] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Answer JSON lines from standard input.")] = False,
    default_country: Annotated[str | None, typer.Option(help="Of phone numbers without a country code.")] = None,
) -> None:
    """Normalise and hash customer data, each step shown."""
    from pixeltwin.cli.hash import hash_command

    finish(
        lambda: hash_command(
            field, value, jsonl=jsonl, default_country=default_country, stdin=sys.stdin, stdout=sys.stdout
        )
    )
