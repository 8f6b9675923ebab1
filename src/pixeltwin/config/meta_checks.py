"""What a config writes into twins, and Meta will not take or will take in another way than was meant."""

import time
from collections.abc import Iterator

from pixeltwin.capi.validate import MAX_AGE, MAX_AGE_IN_STORE
from pixeltwin.config.document import Loc
from pixeltwin.config.model import Config
from pixeltwin.rules.fields import moment
from pixeltwin.rules.sections import LimitedDataUse, ServerEventSection
from pixeltwin.rules.values import Literal, Value

type Finding = tuple[Loc, str, str]  # where, what was found, what would work
type Section = tuple[Loc, ServerEventSection]

GEOLOCATES: Literal = Literal(0)
IN_STORE: Literal = Literal("physical_store")


def doubts_for_meta(config: Config) -> Iterator[Finding]:
    """What leaves an event incomplete, whatever hit it is made of."""
    names_channel = any(section.messaging_channel for _, section in _sections(config))
    for loc, section in _sections(config):
        if _is(section.action_source, "app"):
            found = "its twins end as no_app_data: Meta takes an app's events with app_data alone, which no page has"
            yield (*loc, "action_source"), found, "write another one; apps post their events, with app_data, to /capi"
        if _is(section.action_source, "business_messaging") and not names_channel:
            found = "its twins end as no_messaging_channel: Meta wants to know where the conversation was"
            yield (*loc, "action_source"), found, "add messaging_channel: whatsapp, messenger or instagram"
    yield from _out_of_time(config)
    if config.privacy.client_ip == "drop":
        yield from _unlocated(config)


def _out_of_time(config: Config) -> Iterator[Finding]:
    """Times that Meta refuses now, and ever more so. No mistake: what was read once has to be read at a restart."""
    sources = [section.action_source for _, section in _sections(config) if section.action_source]
    may_be_in_store = any(not isinstance(source, Literal) or source == IN_STORE for source in sources)
    oldest = MAX_AGE_IN_STORE if may_be_in_store else MAX_AGE
    for loc, section in _sections(config):
        seconds = moment(section.event_time.value) if isinstance(section.event_time, Literal) else None
        if seconds is not None and seconds < time.time() - oldest:
            found = f"a time of more than {oldest // 86_400} days ago, which Meta refuses"
            yield (*loc, "event_time"), found, 'remove it, or take it from the event: "{{ element }}" or { cel: … }'


def _unlocated(config: Config) -> Iterator[Finding]:
    """Meta finds out by the address whether a law of the visitor's state limits the event."""
    found = "Meta is to find out where the visitor is, and privacy.client_ip: drop leaves it no address"
    for loc, section in _sections(config):
        if section.limited_data_use and _geolocates(section.limited_data_use):
            yield (*loc, "limited_data_use"), found, "write country and state, or client_ip: mask"
    for name, policy in config.consent.items():
        for answer in ("unknown", "denied"):
            if getattr(policy, answer).is_limited and not (config.geo.country and config.geo.region):
                remedy = "say under `geo` in which country and region he is, or write client_ip: mask"
                yield ("consent", name, answer), found, remedy


def _geolocates(limits: LimitedDataUse) -> bool:
    return limits.on and limits.country == limits.state == GEOLOCATES


def _is(value: Value | None, word: str) -> bool:
    return isinstance(value, Literal) and value.value == word


def _sections(config: Config) -> Iterator[Section]:
    for index, rule in enumerate(config.rules):
        if section := rule.then.server_event:
            yield ("rules", index, "then", "server_event"), section
