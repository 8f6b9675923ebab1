"""How commands end."""

from collections.abc import Callable
from typing import Final, NoReturn

import typer
from rich.console import Console

from pixeltwin.cli.printing import plain
from pixeltwin.errors import UnreachableError

UNREACHABLE: Final = 3


def finish(work: Callable[[], int]) -> NoReturn:
    """Exit with the work's code; what the user can mend is said without a traceback."""
    try:
        code = work()
    except (ValueError, OSError) as error:  # a ConfigError is a ValueError
        text = "\n".join(map(plain, str(error).split("\n")))
        Console(stderr=True, highlight=False, soft_wrap=True).print(text, style="red", markup=False)
        code = UNREACHABLE if isinstance(error, UnreachableError) else 1
    except KeyboardInterrupt:
        code = 130
    raise typer.Exit(code)
