import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.errors import ConfigError

from .factories import ENV, SHOP, load, problems

LITERAL = "EAABwzLixnjYBO7literal"


def token(written: str, **arguments):
    config = load(f"pixels:\n- id: '1'\n  access_token: {written}\n", **arguments)
    return config.pixels[0].access_token.get_secret_value()


def test_token_comes_from_the_environment():
    assert token("${SHOP_TOKEN}") == ENV["SHOP_TOKEN"]


@pytest.mark.parametrize("name", ["NOT_SET", "EMPTY"])
def test_default_stands_in_for_a_variable_that_is_unset_or_empty(name):
    assert token(f"${{{name}:-sandbox}}") == "sandbox"


def test_token_comes_from_a_file_without_its_last_newline(tmp_path):
    (tmp_path / "token").write_text("from-a-file\n")
    assert token("${file:token}", base=tmp_path) == token(f"${{file:{tmp_path}/token}}") == "from-a-file"


def test_text_around_an_interpolation_is_kept():
    assert token("a-${EMPTY:-b}-${EMPTY:-c}") == "a-b-c"


def test_two_dollars_stand_for_one():
    config = load(f"{SHOP}outbox: {{ kind: sqlite, path: 'a/$${{b}}' }}")
    assert str(config.outbox.path) == "a/${b}"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_value_is_not_looked_at_again(value):
    assert token("${ANY}", env={"ANY": value}) == value


@pytest.mark.parametrize(
    ("written", "found", "remedy"),
    [
        ("${NOT_SET}", "variable NOT_SET is not set", "export NOT_SET="),
        ("${EMPTY}", "not shown", "is the variable set"),
        ("${1X}", "cannot be read", "${NAME}"),
        ("${}", "cannot be read", "${NAME}"),
        ("'${SHOP_TOKEN'", "cannot be read", "${NAME}"),
        ("${file:nowhere}", "no file", "create it"),
        ("${file:.}", "no file", "create it"),
        ('"${file:a\\0b}"', "no file", "create it"),
        ("${file:binary}", "not UTF-8", "the secret alone"),
        ("${file:big}", "bigger than 64 KiB", "the secret alone"),
        ("'${SHOP_TOKEN} x'", "not shown", "without line breaks"),
        (LITERAL, "plain text", "${NAME}"),
        ("1234567", "plain text", "${file:/path}"),
        ("$SHOP_TOKEN", "plain text", "${NAME}"),
        ("$${SHOP_TOKEN}", "plain text", "${NAME}"),
    ],
)
def test_token_that_cannot_be_had_is_one_problem_with_a_remedy(tmp_path, written, found, remedy):
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "big").write_bytes(b"x" * 65_537)
    [problem] = problems(f"pixels:\n- id: '1'\n  access_token: {written}\n", base=tmp_path)
    assert (problem.key, problem.line) == ("pixels[0].access_token", 3)
    assert found in problem.found
    assert remedy in problem.remedy


def test_keys_of_elements_are_secrets_too():
    [problem] = problems(f"{SHOP}elements: {{ customer_id: {{ signed_cookie: uid, key: short }} }}")
    assert (problem.key, problem.found) == ("elements.customer_id.key", "a secret in plain text")
    assert "short" not in str(problem)


LEAKS = [
    "access_token: {secret}",
    "acces_token: {secret}",
    "acces_token: '{secret}'",
    "tokn: {secret}, relay: wrong",
    "relay: wrong, access_token: '{secret}'",
    "access_token: [{secret}]",
    "access_token: {{ a: {secret} }}",
    "access_token: '{secret}",
    "relay: {secret}",
    "name: '{secret} x'",
    "{secret}: 1",
    "hosts: ['{secret}!']",
    "enrich: [{secret}]",
    "access_token: '${{NOT_SET}} {secret}', relay: x",
    "access_token: '${{NOT_SET:-{secret}}}', relay: x",
    "access_token: '{secret}\n   {secret}', relay: x",
]


@pytest.mark.parametrize("secret", ["${SHOP_TOKEN}", LITERAL])
@pytest.mark.parametrize("leak", LEAKS)
def test_secret_shows_in_no_error(leak, secret):
    with pytest.raises(ConfigError) as caught:
        load(f"pixels: [{{ id: '1', {leak.format(secret=secret)} }}]\nx: 1\n")
    error = caught.value
    shown = f"{error}{error!r}{error.problems!r}{error.__context__!r}{error.__cause__!r}"
    assert ENV["SHOP_TOKEN"] not in shown
    assert LITERAL not in shown


def test_remedies_do_not_end_up_with_pieces_of_values():
    env = {**ENV, "PORT": "8080"}
    [problem] = problems(f"{SHOP}server: {{ listen: '${{PORT}}' }}", env=env)
    assert "127.0.0.1:8080" in problem.remedy
    assert problem.found == "'${PORT}'"
