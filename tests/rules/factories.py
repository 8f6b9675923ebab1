"""Short ways to policies with rules as people write them, and to what they make of a hit."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from pixeltwin.consent.policy import ConsentPolicy
from pixeltwin.mapping.element import element_type
from pixeltwin.mirror import Admission, PixelPolicy, Policy, admit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.rules.rule import Rule
from pixeltwin.rules.ruleset import RuleSet
from tests.factories import PIXEL, hit_query, request

AGENCY = "6543210987654321"
PIXELS: Mapping[str, PixelPolicy] = {PIXEL: PixelPolicy(name="shop"), AGENCY: PixelPolicy(name="agency")}
NO_PARAMETERS: Mapping[str, str] = {}
FBP = "fb.1.1795461790000.1098115397"

RULES: TypeAdapter[tuple[Rule, ...]] = TypeAdapter(tuple[Rule, ...])
ELEMENTS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, element_type()])  # type: ignore[misc]  # made of files
CONSENT: TypeAdapter[dict[str, ConsentPolicy]] = TypeAdapter(dict[str, ConsentPolicy])


def rules(*written: Mapping[str, Any]) -> RuleSet:
    """Rules as they are written; those without a name are called r0, r1 …"""
    return RuleSet(RULES.validate_python([{"name": f"r{number}", **rule} for number, rule in enumerate(written)]))


def policy(*written: Mapping[str, Any], **more: Any) -> Policy:
    """A policy of two pixels with these rules. `elements` and `consent` may be given as they are written."""
    readers = {"elements": ELEMENTS, "consent": CONSENT}
    read = {name: readers[name].validate_python(more[name]) for name in readers.keys() & more.keys()}
    return Policy(**{"pixels": PIXELS, "rules": rules(*written), "config": "c0ffee", **more, **read})


def admitted(decided_by: Policy, arrived: HitRequest | str = "", **parameters: str) -> Admission:
    """What is decided about a hit: a request, a query, or a Purchase with these parameters besides."""
    standard = {"cd_value": "12.50", "cd_currency": "EUR", "cd_order_id": "A-1", "eid": "e-1", "fbp": FBP}
    if isinstance(arrived, str):
        arrived = request(arrived or hit_query("Purchase", **{**standard, **parameters}))
    return admit(arrived, decided_by, record_id="r", random_below=lambda below: 7)


def ruled(then: Mapping[str, Any], hit: Mapping[str, str] = NO_PARAMETERS, **more: Any) -> Admission:
    """What is decided about a Purchase, with these parameters besides, for which a rule does this."""
    return admitted(policy({"then": then}, **more), **hit)


def twin(then: Mapping[str, Any], hit: Mapping[str, str] = NO_PARAMETERS, **more: Any) -> Mapping[str, Any]:
    """What Meta gets of it."""
    admission = ruled(then, hit, **more)
    assert admission.draft, admission.skip
    return admission.draft.event


def faults(then: Mapping[str, Any], hit: Mapping[str, str] = NO_PARAMETERS, **more: Any) -> list[str]:
    """The names of the fields that gave nothing which can be used."""
    decided = ruled(then, hit, **more).ruled
    assert decided
    return [fault.removeprefix("r0: ") for fault in decided.faults]
