"""`pixeltwin customers`: the commands' words. Their work is in `customer_store.py`, which takes a second to import."""

from pathlib import Path
from typing import Annotated

import typer

from pixeltwin.cli.ending import finish

app = typer.Typer(no_args_is_help=True, help="The embedded customer store: import, put, forget.")

ConfigFile = Annotated[Path, typer.Option("-c", "--config", help="The config file.")]
SourceName = Annotated[str | None, typer.Option("--source", help="Which source, if there are several.")]


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or JSON lines (.jsonl).")],
    config: ConfigFile,
    source: SourceName = None,
    key: Annotated[str | None, typer.Option(help="The column with the customer's key.")] = None,
    columns: Annotated[list[str] | None, typer.Option("--map", metavar="em=email", help="Where Meta's key is.")] = None,
) -> None:
    """Store the customers of a file."""
    from pixeltwin.cli.customer_store import import_file

    finish(lambda: import_file(file, config, source=source, key=key, columns=columns or ()))


@app.command()
def put(
    key: Annotated[str, typer.Argument(help="The customer's key.")],
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="em=…", help="What is known, by Meta's keys; profile.orders=3 and custom_data.plan=… too."
        ),
    ],
    config: ConfigFile,
    source: SourceName = None,
) -> None:
    """Store one customer, in place of what was known."""
    from pixeltwin.cli.customer_store import put_customer

    finish(lambda: put_customer(key, values, config, source=source))


@app.command()
def forget(
    keys: Annotated[list[str], typer.Argument(metavar="KEY…", help="Keys, e-mail addresses, … of customers.")],
    config: ConfigFile,
    source: SourceName = None,
) -> None:
    """Remove whatever is kept of customers, and what waits for Meta: by key, e-mail address, phone number or hash."""
    from pixeltwin.cli.forgetting import forget_customers

    finish(lambda: forget_customers(keys, config, source=source))
