"""Normalising and hashing: the documentation's own samples (PROTOCOL 1.5)."""

import pytest

from pixeltwin.capi.hashes import OF_NOTHING
from pixeltwin.capi.normalize import hashed


@pytest.mark.parametrize(
    ("key", "value", "digest"),
    [
        ("em", " John_Smith@gmail.com ", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
        ("ph", "+1 (650) 555-1212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
        ("fn", "Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
        ("fn", "Valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
        ("fn", "Vale\u0301ry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
        ("ln", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
        ("external_id", "User- 42", "6d894aa3ee802549d7f340e7c1cf0d1c1cb14cd84f768d92ffaa6785337c4997"),
    ],
)
def test_the_documentation_s_samples(key, value, digest):
    assert hashed(key, value) == digest


def test_a_hash_is_kept_and_never_hashed_again():
    digest = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
    assert hashed("em", digest.upper()) == digest


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("em", ""),
        ("em", "johnsmith"),
        ("em", "a@b.co, c@d.co"),
        ("em", "a b@c.de"),
        ("ph", "abc"),
        ("fn", "!?"),
        ("em", OF_NOTHING),
    ],
)
def test_what_normalises_to_nothing_is_not_sent(key, value):
    assert hashed(key, value) is None
