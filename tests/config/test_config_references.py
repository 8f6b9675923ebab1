"""A pixel's id and token from data elements, and never from a request."""

import pytest

from .factories import load, problems

ELEMENTS = """
elements:
  number: { constant: "4567890123456789" }
  variable: { env: PIXEL }
  token: { env: SHOP_TOKEN }
  shown: { query: id }
"""
ENV = {"SHOP_TOKEN": "EAAcanary0token1of2the3tests", "PIXEL": "5678901234567890"}


def text(pixel_id: str, token: str) -> str:
    return f'pixels: [{{ id: "{pixel_id}", access_token: "{token}", events: [Lead] }}]\n{ELEMENTS}'


@pytest.mark.parametrize(("reference", "value"), [("number", "4567890123456789"), ("variable", "5678901234567890")])
def test_an_id_and_a_token_come_from_elements(reference, value):
    pixel = load(text(f"{{{{ {reference} }}}}", "{{ token }}"), ENV).pixels[0]
    assert (pixel.id, pixel.access_token.get_secret_value()) == (value, ENV["SHOP_TOKEN"])


@pytest.mark.parametrize(
    ("pixel_id", "token", "key", "remedy"),
    [
        ("{{ shown }}", "{{ token }}", "pixels[0].id", "a request must not decide"),
        ("1", "{{ number }}", "pixels[0].access_token", "tokens never stand in the file"),
        ("1", "{{ shown }}", "pixels[0].access_token", "tokens never stand in the file"),
        ("{{ numbr }}", "{{ token }}", "pixels[0].id", "'number'"),
        ("{{ variable }}", "{{ token }}", "pixels[0].id", "export that variable"),
    ],
)
def test_what_cannot_be_one_is_pointed_at(pixel_id, token, key, remedy):
    found = problems(text(pixel_id, token), {name: value for name, value in ENV.items() if name != "PIXEL"})
    assert any(problem.key == key and remedy in problem.remedy for problem in found), found
    assert ENV["SHOP_TOKEN"] not in "".join(map(str, found))


def test_a_rule_s_own_token_comes_from_an_element_too():
    rule = '{ name: partner, then: { pixel: { id: "9", access_token: "{{ token }}" } } }'
    config = load(text("1", "{{ token }}") + f"rules: [{rule}]\n", ENV)
    other = config.rules[0].then.pixel
    assert other
    assert other.access_token
    assert other.access_token.get_secret_value() == ENV["SHOP_TOKEN"]
