"""The visitor's address: `203.0.113.9` or networks such as `192.0.2.0/24`. One that is not known is in none."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PlainValidator

from pixeltwin.rules.matcher import Matcher, listed
from pixeltwin.rules.moment import Arrival
from pixeltwin.units import wrong


def _network(given: Any) -> IPv4Network | IPv6Network:
    if isinstance(given, IPv4Network | IPv6Network):
        return given
    try:
        return ip_network(given if isinstance(given, str) else "", strict=False)
    except ValueError:
        raise wrong("write an address or a network in CIDR notation, such as 192.0.2.0/24") from None


Network = Annotated[
    IPv4Network | IPv6Network, PlainValidator(_network, json_schema_input_type=str), PlainSerializer(str)
]


class Settings(Matcher):
    """One address or network, or several."""

    want: Annotated[tuple[Network, ...], BeforeValidator(listed)]

    def holds(self, moment: Arrival) -> bool:
        if (address := moment.visit.client_ip) is None:
            return False
        return any(ip_address(address) in network for network in self.want)
