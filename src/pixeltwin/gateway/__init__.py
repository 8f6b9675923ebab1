"""The gateway: everything between a hit's arrival and its twin's delivery, free of any proxy."""

from pixeltwin.gateway.doors import Doors
from pixeltwin.gateway.gateway import STOP_SECONDS, Gateway, Handled
from pixeltwin.gateway.items import Relay
from pixeltwin.gateway.reloading import Reloader

__all__ = ["STOP_SECONDS", "Doors", "Gateway", "Handled", "Relay", "Reloader"]
