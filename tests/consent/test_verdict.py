"""A verdict: the twin is never less restricted than the browser's copy, whoever makes it and however."""

from dataclasses import FrozenInstanceError, replace
from itertools import product

import pytest

from pixeltwin.consent.verdict import ALLOWED, Answer, Treatment, Verdict

PAIRS = list(product(Treatment, Treatment))


def test_treatments_are_ordered_by_what_meta_gets():
    assert Treatment.ALLOW < Treatment.LIMIT < Treatment.HOLD < Treatment.DROP


@pytest.mark.parametrize(("relay", "twin"), PAIRS)
def test_the_twin_is_raised_to_the_browsers_copy_and_never_lowered(relay, twin):
    verdict = Verdict(relay=relay, twin=twin)
    assert verdict.relay is relay
    assert verdict.twin is max(twin, relay)


@pytest.mark.parametrize(("relay", "twin"), PAIRS)
def test_it_cannot_be_changed_into_one_that_is(relay, twin):
    changed = replace(replace(ALLOWED, relay=relay), twin=twin)
    assert changed.twin >= changed.relay
    with pytest.raises(FrozenInstanceError):
        changed.twin = Treatment.ALLOW  # type: ignore[misc]  # that is the test


@pytest.mark.parametrize(("relay", "twin"), PAIRS)
def test_whatever_is_limited_has_a_country_and_a_state(relay, twin):
    verdict = Verdict(relay=relay, twin=twin)
    has_limits = verdict.limits is not None
    assert has_limits is (Treatment.LIMIT in (verdict.relay, verdict.twin))


def test_where_no_policy_applies_both_copies_go():
    assert Verdict(relay=Treatment.ALLOW, twin=Treatment.ALLOW, answer=Answer.UNKNOWN) == ALLOWED
    assert (ALLOWED.policy, ALLOWED.signal, ALLOWED.hold_seconds, ALLOWED.limits) == ("", "", 0, None)
