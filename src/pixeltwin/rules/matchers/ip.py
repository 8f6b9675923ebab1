"""The visitor's address: `203.0.113.9` or networks such as `192.0.2.0/24`. One that is not known is in none."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator

from pixeltwin.consent.signal import at_least_one
from pixeltwin.rules.matcher import Example, Matcher, listed
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

    want: Annotated[tuple[Network, ...], BeforeValidator(listed), AfterValidator(at_least_one)]

    def holds(self, moment: Arrival) -> bool:
        if (address := moment.visit.client_ip) is None:
            return False
        found = ip_address(address)
        return any(found in network for network in self.want)

    def covers(self, other: "Settings") -> bool:
        return all(any(_is_within(theirs, ours) for ours in self.want) for theirs in other.want)


def _is_within(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


EXAMPLES: Final = (
    Example(written="192.0.2.0/24", client_ip="192.0.2.77", holds=True),
    Example(written=["192.0.2.0/24", "2001:db8::/32"], client_ip="2001:db8::1", holds=True),
    Example(written="203.0.113.9", client_ip="203.0.113.10", holds=False),
    Example(written="0.0.0.0/0", holds=False),
)
