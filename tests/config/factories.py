"""Config texts that load, to be changed by one line."""

from pathlib import Path

from pixeltwin.config import Config
from pixeltwin.errors import ConfigError, Problem

BASE = Path("/etc/pixeltwin")
ENV = {"SHOP_TOKEN": "EAAcanary0token1of2the3tests", "UID_KEY": "uid-key-canary-98765", "EMPTY": ""}

SHOP = 'pixels: [{ id: "123", access_token: "${SHOP_TOKEN}" }]\n'


def load(text: str, env: dict[str, str] = ENV, base: Path = BASE) -> Config:
    return Config.from_text(text, base=base, env=env, file="pixeltwin.yaml")


def server(text: str) -> Config:
    """A config whose `server` section is this flow text."""
    return load(f"{SHOP}server: {{ {text} }}\n")


def pixel(text: str, more: str = "") -> Config:
    """A config whose only pixel has these options too."""
    return load(f'pixels: [{{ id: "123", access_token: "${{SHOP_TOKEN}}", {text} }}]\n{more}')


def problems(text: str, env: dict[str, str] = ENV, base: Path = BASE) -> tuple[Problem, ...]:
    """The problems of a text that cannot be used."""
    try:
        load(text, env, base)
    except ConfigError as error:
        return error.problems
    raise AssertionError("it loaded")
