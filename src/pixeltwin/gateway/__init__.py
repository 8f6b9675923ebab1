"""The gateway: everything between a hit's arrival and its twin's delivery, free of any proxy."""

from pixeltwin.gateway.doors import Doors
from pixeltwin.gateway.gateway import Gateway, Handled
from pixeltwin.gateway.items import Relay

__all__ = ["Doors", "Gateway", "Handled", "Relay"]
