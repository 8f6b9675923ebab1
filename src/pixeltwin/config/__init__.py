"""The config file: what can be set, how it is read, and what is said when it cannot be used."""

from .load import load_config
from .model import Config, Pixel
from .values import Listen, Origin

__all__ = ["Config", "Listen", "Origin", "Pixel", "load_config"]
