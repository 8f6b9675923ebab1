"""Whether Meta would take a batch. Pure: the time is handed in, and every rule is written from PROTOCOL 1.4 to 1.9.

A rule yields findings about one event. The first finding of a refusing rule refuses the whole batch, as at Meta
(PROTOCOL 1.9); what the remarks find is only said in `messages`. No finding repeats a value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pixeltwin.sandbox import answers, parameters
from pixeltwin.sandbox.answers import Refusal
from pixeltwin.sandbox.shapes import Shape

MAX_EVENTS: Final = 1000
DAY: Final = 86_400
MAX_AGE: Final = 7 * DAY
MAX_AGE_IN_STORE: Final = 62 * DAY
EMPTY_SHA256: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

type Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about one parameter of an event, named by its path inside the event."""

    text: str
    path: tuple[str, ...] = ()
    subcode: int | None = None


type Rule = Callable[[Event, float], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a batch: refused, or taken with remarks, a tuple of them for each event."""

    refusal: Refusal | None
    remarks: tuple[tuple[str, ...], ...] = ()


def check_batch(events: Sequence[object], now: float) -> Verdict:
    """The verdict on the `data` of one request; one bad event refuses all (PROTOCOL 1.9)."""
    if not 1 <= len(events) <= MAX_EVENTS:
        return Verdict(Refusal(detail=f"data must hold 1 to {MAX_EVENTS} events.", blame=("data",)))
    cleaned = [without_nulls(event) for event in events]
    for index, event in enumerate(cleaned):
        if finding := first_fault(event, now):
            return Verdict(_refusal(index, finding))
    return Verdict(None, tuple(tuple(_remarks(index, event, now)) for index, event in enumerate(cleaned)))


def check_partner_agent(value: object) -> Refusal | None:
    """`partner_agent` has fewer than 23 characters, at least two of them alphabetic (PROTOCOL 1.3)."""
    fits = isinstance(value, str) and len(value) < 23 and sum(map(str.isalpha, value)) >= 2
    if value is None or fits:
        return None
    return Refusal(detail="partner_agent must have fewer than 23 characters and two letters.", blame=("partner_agent",))


def first_fault(event: object, now: float) -> Finding | None:
    """The first reason to refuse this event."""
    if not isinstance(event, dict):
        return Finding("must be an object")
    return next((finding for rule in RULES for finding in rule(event, now)), None)


def without_nulls(value: object) -> object:
    """The value with all `null` members gone, at every depth: Graph takes them as not given."""
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _refusal(index: int, finding: Finding) -> Refusal:
    path = ("data", str(index), *finding.path)
    return Refusal(detail=f"{_spell(path)} {finding.text}.", subcode=finding.subcode, blame=path)


def _remarks(index: int, event: Any, now: float) -> Iterator[str]:
    for rule in REMARKS:
        for finding in rule(event, now):
            yield f"{_spell(('data', str(index), *finding.path))} {finding.text}."


def _spell(path: tuple[str, ...]) -> str:
    return path[0] + "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in path[1:])


def _missing(given: Event, wanted: Sequence[str], *path: str) -> Iterator[Finding]:
    return (Finding("is required", (*path, key)) for key in wanted if key not in given)


def _misshapen(given: Event, shapes: Mapping[str, Shape], *path: str) -> Iterator[Finding]:
    for key, shape in shapes.items():
        if key in given and (wrong := shape(given[key])):
            yield Finding(wrong, (*path, key))


# What refuses. In this order: a rule may rely on what the rules before it made sure of.


def has_what_is_required(event: Event, now: float) -> Iterator[Finding]:
    """PROTOCOL 1.4."""
    return _missing(event, parameters.REQUIRED)


def has_only_known_parameters(event: Event, now: float) -> Iterator[Finding]:
    """A key that Graph does not know at event level is an invalid parameter."""
    return (Finding("is not a parameter of an event", (key,)) for key in event if key not in parameters.EVENT)


def parameters_are_well_formed(event: Event, now: float) -> Iterator[Finding]:
    """Types and enums of the event, its user data, custom data and original event."""
    yield from _misshapen(event, parameters.EVENT)
    yield from _misshapen(event["user_data"], parameters.USER_DATA, "user_data")
    yield from _misshapen(event.get("custom_data", {}), parameters.CUSTOM_DATA, "custom_data")
    yield from _misshapen(event.get("original_event_data", {}), parameters.ORIGINAL_EVENT, "original_event_data")


def contents_are_well_formed(event: Event, now: float) -> Iterator[Finding]:
    """Every item has an id and a quantity (PROTOCOL 1.6)."""
    for index, item in enumerate(event.get("custom_data", {}).get("contents", [])):
        path = ("custom_data", "contents", str(index))
        yield from _missing(item, parameters.CONTENT_REQUIRED, *path)
        yield from _misshapen(item, parameters.CONTENT, *path)


def is_recent(event: Event, now: float) -> Iterator[Finding]:
    """At most 7 days old, 62 in a store (PROTOCOL 1.4)."""
    limit = MAX_AGE_IN_STORE if event["action_source"] == "physical_store" else MAX_AGE
    if now - event["event_time"] > limit:
        yield Finding(f"is more than {limit // DAY} days ago", ("event_time",), answers.TOO_OLD)


def website_names_its_page(event: Event, now: float) -> Iterator[Finding]:
    """A website event needs the page's URL (PROTOCOL 1.4)."""
    if event["action_source"] == "website":
        yield from _missing(event, ("event_source_url",))


def purchase_has_value_and_currency(event: Event, now: float) -> Iterator[Finding]:
    """PROTOCOL 1.4, 1.11: 2804009 is the missing value; no subcode is documented for the currency."""
    if event["event_name"] != "Purchase":
        return
    custom_data = event.get("custom_data", {})
    if "value" not in custom_data:
        yield Finding("is required for a Purchase", ("custom_data", "value"), answers.PURCHASE_WITHOUT_VALUE)
    yield from _missing(custom_data, ("currency",), "custom_data")


def can_be_matched(event: Event, now: float) -> Iterator[Finding]:
    """There is more than one of the sets that Meta calls too little (PROTOCOL 1.5). Empty values do not count."""
    given = {key for key, value in event["user_data"].items() if value not in ("", [], [""])}
    if any(given <= little for little in parameters.TOO_LITTLE):
        yield Finding("has too little to match a person with", ("user_data",), answers.CANNOT_MATCH)


def limited_data_use_names_a_country(event: Event, now: float) -> Iterator[Finding]:
    """`["LDU"]` needs `data_processing_options_country` (PROTOCOL 1.4)."""
    if event.get("data_processing_options"):
        yield from _missing(event, ("data_processing_options_country",))


def app_says_what_it_runs_on(event: Event, now: float) -> Iterator[Finding]:
    """An app event needs `app_data` with an OS version in `extinfo` (PROTOCOL 1.8)."""
    if event["action_source"] != "app":
        return
    app_data = event.get("app_data", {})
    yield from _missing(app_data, parameters.APP_REQUIRED, "app_data")
    extinfo = app_data.get("extinfo")
    complete = isinstance(extinfo, list) and len(extinfo) == 16 and extinfo[4]
    if not complete:
        yield Finding("must name the OS version", ("app_data", "extinfo"), answers.EXTINFO_INCOMPLETE)


def messaging_names_its_channel(event: Event, now: float) -> Iterator[Finding]:
    """PROTOCOL 1.4, 1.11."""
    if event["action_source"] == "business_messaging" and "messaging_channel" not in event:
        yield Finding("is required", ("messaging_channel",), answers.MESSAGING_CHANNEL_MISSING)


RULES: Final[tuple[Rule, ...]] = (
    has_what_is_required,
    has_only_known_parameters,
    parameters_are_well_formed,
    contents_are_well_formed,
    is_recent,
    website_names_its_page,
    purchase_has_value_and_currency,
    can_be_matched,
    limited_data_use_names_a_country,
    app_says_what_it_runs_on,
    messaging_names_its_channel,
)


# What is only remarked on.


def website_names_its_browser(event: Event, now: float) -> Iterator[Finding]:
    """Documented as required, yet taken without (PROTOCOL 1.4)."""
    if event["action_source"] == "website":
        yield from _missing(event["user_data"], ("client_user_agent",), "user_data")


def user_data_looks_right(event: Event, now: float) -> Iterator[Finding]:
    """Private addresses and misshapen browser or click ids do not match anybody."""
    return _misshapen(event["user_data"], parameters.USER_DATA_ODDITIES, "user_data")


def user_data_is_known(event: Event, now: float) -> Iterator[Finding]:
    """A key that Meta does not list matches nobody."""
    unknown = event["user_data"].keys() - parameters.USER_DATA.keys()
    return (Finding("is not a parameter of user_data", ("user_data", key)) for key in sorted(unknown))


def hashes_are_of_something(event: Event, now: float) -> Iterator[Finding]:
    """Whoever hashes before looking sends the hash of nothing."""
    for key in parameters.HASHED:
        if EMPTY_SHA256 in str(event["user_data"].get(key, "")).lower():
            yield Finding("is the hash of an empty string", ("user_data", key))


def custom_data_looks_right(event: Event, now: float) -> Iterator[Finding]:
    """Standard properties with values that Meta does not list."""
    return _misshapen(event.get("custom_data", {}), parameters.CUSTOM_DATA_ODDITIES, "custom_data")


def is_not_of_the_future(event: Event, now: float) -> Iterator[Finding]:
    """No bound is documented (PROTOCOL 1.4); milliseconds in place of seconds end up here."""
    if event["event_time"] > now + DAY:
        yield Finding("is in the future; it counts seconds", ("event_time",))


def limited_data_use_can_be_placed(event: Event, now: float) -> Iterator[Finding]:
    """A country without a state leaves the place to Meta, which then needs an address (PROTOCOL 1.7)."""
    if not event.get("data_processing_options"):
        return
    yield from _missing(event, ("data_processing_options_state",))
    if not event.get("data_processing_options_state") and "client_ip_address" not in event["user_data"]:
        yield Finding("is needed to find the state", ("user_data", "client_ip_address"))


REMARKS: Final[tuple[Rule, ...]] = (
    website_names_its_browser,
    user_data_looks_right,
    user_data_is_known,
    hashes_are_of_something,
    custom_data_looks_right,
    is_not_of_the_future,
    limited_data_use_can_be_placed,
)
