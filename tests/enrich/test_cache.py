"""What was looked up is remembered for a while, in bounded memory."""

from pixeltwin.enrich.cache import ProfileCache
from pixeltwin.enrich.source import CacheSettings, Profile

ALEX = Profile({"em": ("1" * 64,)})


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def cache(size: int = 10) -> tuple[ProfileCache, Clock]:
    clock = Clock()
    return ProfileCache(CacheSettings(ttl="10m", negative_ttl="1m", max=size), clock), clock


def test_what_was_never_asked_is_unknown():
    known, _ = cache()
    assert known.split(["a", "b"]) == ({}, ["a", "b"])


def test_a_customer_is_remembered_for_ttl():
    known, clock = cache()
    known.remember(["a"], {"a": ALEX})
    clock.now += 599
    assert known.split(["a"]) == ({"a": ALEX}, [])
    clock.now += 1
    assert known.split(["a"]) == ({}, ["a"])


def test_a_miss_is_remembered_for_negative_ttl():
    known, clock = cache()
    known.remember(["a"], {})
    clock.now += 59
    assert known.split(["a"]) == ({}, [])
    clock.now += 1
    assert known.split(["a"]) == ({}, ["a"])


def test_the_least_recently_used_goes_first():
    known, _ = cache(size=2)
    known.remember(["a", "b"], {})
    known.split(["a"])
    known.remember(["c"], {})
    assert len(known) == 2
    assert known.split(["a", "b", "c"])[1] == ["b"]


def test_no_key_is_kept_in_clear():
    known, _ = cache()
    known.remember(["someone@example.com"], {})
    assert "someone" not in repr(known.__dict__)


def test_what_was_forgotten_is_asked_for_again():
    known, _ = cache()
    known.remember(["a", "b"], {"a": ALEX})
    known.forget(["a", "never seen"])
    assert known.split(["a", "b"]) == ({}, ["a"])


def test_custom_data_and_facts_are_remembered_too():
    known, _ = cache()
    profile = Profile({}, {"plan": "gold"}, {"orders": 3}, ("custom_data.note",))
    known.remember(["a"], {"a": profile})
    assert known.split(["a"]) == ({"a": profile}, [])
