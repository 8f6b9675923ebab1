"""The config file: what can be set, how it is read, and what is said when it cannot be used."""

from pixeltwin.config.load import load_config
from pixeltwin.config.model import Config, Pixel
from pixeltwin.config.values import Listen, Origin

__all__ = ["Config", "Listen", "Origin", "Pixel", "load_config"]
