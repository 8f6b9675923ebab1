"""pixeltwin: a first-party gateway that gives every Meta Pixel hit a server-side twin."""

from importlib.metadata import version

__version__ = version("pixeltwin")
