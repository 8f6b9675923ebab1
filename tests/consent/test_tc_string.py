"""TC strings: those that others published with their meaning, and those written by the specification."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pixeltwin.consent.tc_string import Core, decode

from . import tc_strings
from .tc_strings import bit_field, core, encoded, range_section, restriction

# From the tests of the IAB's decoder, github.com/InteractiveAdvertisingBureau/iabtcf-java
IAB = "COrEAV4OrXx94ACABBENAHCIAD-AAAAAAACAAxAAAAgAIAwgAgAAAAEAgQAAAAAEAYQAQAAAACAAAABAAA"
IAB_SEGMENTS = f"{IAB}.IBAgAAAgAIAwgAgAAAAEAAAACA.QAagAQAgAIAwgA"
IAB_VERSION_1 = "BObdrPUOevsguAfDqFENCNAAAAAmeAAA"
# The example of the specification; what it means is from the manual of Perl's GDPR::IAB::TCFv2
SPECIFICATION = "CLcVDxRMWfGmWAVAHCENAXCkAKDAADnAABRgA5mdfCKZuYJez-NQm0TBMYA4oCAAGQYIAAAAAAEAIAEgAA.argAC0gAAAAAAAAAAAA"
# From the tests of github.com/prebid/go-gdpr: purpose 7 requires consent of vendor 32
PREBID = "COwAdDhOwAdDhN4ABAENAPCgAAQAAv___wAAAFP_AAp_4AI6ACACAA"
# The same; read with the IAB's @iabtcf/core 1.5.6: purpose 2 is not allowed to vendors 1 to 40
PREBID_RESTRICTED = (
    "COxPe2TOxPe2TALABAENAPCgAAAAAAAAAAAAAFAAAAoAAA4IACACAIABgACAFA4ADACAAIygAGADwAQBIAIAIB0AEAEBSACACAA"
)

PURPOSES = st.frozensets(st.integers(1, 24))
VENDOR = st.integers(1, 700)
RUNS = st.lists(st.tuples(VENDOR, st.integers(0, 40)).map(lambda run: (run[0], run[0] + run[1])), max_size=8)


def read(text: str) -> Core:
    decoded = decode(text)
    assert decoded is not None
    return decoded


def purposes_of(decoded: Core) -> set[int]:
    return {purpose for purpose in range(30) if purpose in decoded.purposes}


def vendors_of(decoded: Core) -> set[int]:
    return {vendor for vendor in range(1, 1000) if decoded.consents((), vendor)}


def of_runs(runs: list[tuple[int, int]]) -> set[int]:
    return {vendor for first, last in runs for vendor in range(first, last + 1)}


@pytest.mark.parametrize("text", [IAB, IAB_SEGMENTS, f"{IAB}=="], ids=["core", "segments", "padded"])
def test_the_iabs_own_string_means_what_its_decoder_says(text):
    decoded = read(text)
    assert purposes_of(decoded) == {3, 4, 5, 6, 7, 8, 9}
    assert vendors_of(decoded) == {23, 37, 47, 48, 53, 65, 98}


def test_the_example_of_the_specification_means_what_others_read_in_it():
    decoded = read(SPECIFICATION)
    assert purposes_of(decoded) == {1, 3, 9, 10}
    assert {2, 3, 6, 7, 8, 10, 12} <= vendors_of(decoded)
    assert vendors_of(decoded).isdisjoint({1, 4, 5, 9, 11, 284})


def test_a_vendor_that_has_to_ask_for_consent_may_have_it():
    [found] = read(PREBID).restrictions
    assert (found.purpose, found.kind, found.vendors) == (7, 1, (range(32, 33),))
    assert vendors_of(read(PREBID)) == set(range(1, 11))


def test_restrictions_of_other_purposes_and_kinds_are_read_on():
    kinds = {(it.purpose, it.kind): it.vendors for it in read(PREBID_RESTRICTED).restrictions}
    assert len(kinds) == 7
    assert kinds[2, 0] == (range(1, 41),)
    assert kinds[10, 1] == (range(32, 33),)


@pytest.mark.parametrize(("kind", "may"), [(0, False), (1, True), (2, False), (3, False)])
def test_a_purpose_that_the_publisher_forbids_a_vendor_has_no_consent(kind, may):
    text = encoded(core({1, 2}, bit_field({10, 11}), restrictions=[restriction(2, kind, [(10, 10)])]))
    assert read(text).consents({1, 2}, 10) is may
    assert read(text).consents({1}, 10)
    assert read(text).consents({1, 2}, 11)
    assert read(text).consents({1, 2}, None)


@given(PURPOSES, st.frozensets(VENDOR), st.frozensets(VENDOR))
def test_bit_fields_come_back(purposes, vendors, interests):
    decoded = read(encoded(core(purposes, bit_field(vendors), bit_field(interests))))
    assert purposes_of(decoded) == purposes
    assert vendors_of(decoded) == vendors


@given(PURPOSES, RUNS, RUNS, st.lists(st.tuples(st.integers(1, 24), st.integers(0, 3), RUNS), max_size=4))
def test_ranges_and_restrictions_come_back(purposes, runs, interests, restricted):
    written = [restriction(*one) for one in restricted]
    decoded = read(encoded(core(purposes, range_section(runs), range_section(interests), written)))
    assert purposes_of(decoded) == purposes
    assert vendors_of(decoded) == of_runs(runs)
    assert [(it.purpose, it.kind) for it in decoded.restrictions] == [one[:2] for one in restricted]
    assert [{vendor for some in it.vendors for vendor in some} for it in decoded.restrictions] == [
        of_runs(one[2]) for one in restricted
    ]


@given(PURPOSES, PURPOSES)
def test_every_purpose_has_to_have_consent(given_purposes, needed):
    assert read(encoded(core(given_purposes))).consents(needed, None) is (needed <= given_purposes)


@given(st.data(), PURPOSES, RUNS)
def test_a_string_that_is_cut_off_says_nothing(data, purposes, runs):
    bits = core(purposes, range_section(runs))
    whole = encoded(bits)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assume(cut * 6 < len(bits))
    assert decode(whole[:cut]) is None


@pytest.mark.parametrize("version", [0, 1, 3, 63])
def test_another_version_says_nothing(version):
    assert decode(encoded(core({1}, version=version))) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "C",
        IAB_VERSION_1,
        IAB[:-12],
        f".{IAB}",
        f" {IAB}",
        IAB.replace("-", "+"),
        f"{IAB}\n",
        "Ａ" * 60,
        "C" * 8193,
    ],
)
def test_what_is_no_string_of_version_2_says_nothing(text):
    assert decode(text) is None


def test_a_range_that_ends_before_it_begins_has_no_vendors():
    assert vendors_of(read(encoded(core({1}, range_section([(20, 10)]))))) == set()


def test_the_widest_ranges_are_not_written_out():
    runs = [(1, 65_535)] * 1400  # 1.9 million vendors a kilobyte
    text = tc_strings.encoded(core({1}, range_section(runs)))
    assert 7000 < len(text) <= 8192
    assert read(text).consents({1}, 65_535)


@given(st.text() | st.text(tc_strings.LETTERS, min_size=30) | st.text(tc_strings.LETTERS).map(lambda rest: f"C{rest}"))
def test_no_text_breaks_it(text):
    decoded = decode(text)
    assert decoded is None or decoded.consents((1,), 1) in {True, False}
