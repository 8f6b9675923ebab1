from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixeltwin.config import Listen, load_config
from pixeltwin.errors import ConfigError

from .factories import BASE, ENV, SHOP, load, pixel, server


def test_pixel_with_id_and_token_is_enough():
    config = load(SHOP)
    assert config.pixels[0].access_token.get_secret_value() == ENV["SHOP_TOKEN"]


def test_defaults_are_safe():
    config = load(SHOP)
    assert config.server.listen.is_loopback
    assert config.admin is not None
    assert config.admin.listen == Listen("127.0.0.1", 8090)
    assert config.server.trusted_proxies == ()
    assert config.outbox.kind == "sqlite"


def test_pixel_is_called_by_its_id_unless_it_has_a_name():
    assert load(SHOP).pixels[0].name == "123"
    assert pixel("name: shop").pixels[0].name == "shop"


def test_relay_is_left_to_the_front_door_unless_it_is_set():
    assert load(SHOP).pixels[0].relay is None
    assert pixel("relay: none").pixels[0].relay == "none"


def test_pixel_id_may_be_a_yaml_number():
    assert load('pixels: [{ id: 1234567890123456, access_token: "${SHOP_TOKEN}" }]').pixels[0].id == "1234567890123456"


def test_pixel_id_keeps_the_zeros_it_was_written_with():
    assert load('pixels: [{ id: 0123, access_token: "${SHOP_TOKEN}" }]').pixels[0].id == "0123"


def test_blank_test_event_code_is_none():
    assert pixel('test_event_code: "${TEST_CODE:-}"').pixels[0].test_event_code is None


def test_values_are_of_the_types_that_the_code_uses():
    config = server("trusted_proxies: [10.0.0.0/8, '::1'], limits: { body: 1MiB, read_timeout: 250ms }")
    assert config.server.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert (config.server.limits.body, config.server.limits.read_timeout) == (1 << 20, 0.25)


def test_hosts_are_the_public_ones_or_else_the_pixels():
    assert load(SHOP).hosts == frozenset()
    assert pixel("hosts: [PX.shop.example]").hosts == {"px.shop.example"}
    assert pixel("hosts: [a.example]", "server: { public_hosts: [a.example, b.example] }").hosts == {
        "a.example",
        "b.example",
    }


def test_every_origin_is_admitted_unless_some_are_listed():
    assert load(SHOP).server.admits_origin("null")
    listed = server("allowed_origins: ['https://*.shop.example']").server
    assert listed.admits_origin("https://www.shop.example")
    assert not listed.admits_origin("https://shop.example.evil.example")
    assert not listed.admits_origin("null")


def test_element_needs_no_kind():
    config = load(SHOP + 'elements: { customer_id: { signed_cookie: uid, key: "${UID_KEY}" } }')
    assert config.elements["customer_id"].kind == "signed_cookie"


def test_admin_can_be_turned_off():
    assert load(SHOP + "admin: null").admin is None


def test_public_server_is_fine_once_its_hosts_are_known():
    assert not server("listen: '0.0.0.0:80', public_hosts: [px.shop.example]").server.listen.is_loopback


def test_config_knows_its_folder_and_its_text(tmp_path):
    path = tmp_path / "pixeltwin.yaml"
    path.write_text(SHOP)
    config = load_config(path, ENV)
    assert config.base == tmp_path
    assert config.digest == sha256(SHOP.encode()).hexdigest()[:12]


def test_byte_order_mark_is_no_mistake(tmp_path):
    path = tmp_path / "pixeltwin.yaml"
    path.write_text(SHOP, encoding="utf-8-sig")
    assert load_config(str(path), ENV).pixels[0].id == "123"


def test_secret_shows_in_no_rendering_of_the_config():
    config = load(SHOP)
    assert ENV["SHOP_TOKEN"] not in f"{config!r}{config}{config.model_dump_json()}"


def test_config_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load(SHOP).version = 1


def test_anchors_may_be_used():
    text = 'pixels:\n- &a { id: "1", access_token: &t "${SHOP_TOKEN}" }\n- { id: "2", access_token: *t }\n'
    assert load(text).pixels[1].access_token == load(text).pixels[0].access_token


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "it is empty"),
        (b"# nothing\n", "it is empty"),
        (b"\xff\xfe", "not UTF-8 (line 1)"),
        (b"# " + b"x" * (1 << 20), "more than 1 MiB"),
    ],
    ids=["empty", "comments", "encoding", "size"],
)
def test_file_that_cannot_be_read_is_said_to_be_so(tmp_path, content, found):
    path = tmp_path / "pixeltwin.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path, ENV)
    assert [problem.found for problem in caught.value.problems] == [found]


@pytest.mark.parametrize(
    ("path", "found"), [("missing.yaml", "No such file"), (".", "Is a directory"), ("a\0b", "not a path")]
)
def test_path_that_cannot_be_opened_is_said_to_be_so(tmp_path, path, found):
    with pytest.raises(ConfigError, match=found):
        load_config(tmp_path / path, ENV)


OPTIONS = """
    version server listen public_hosts limits body meta graph pixels id name access_token hosts enrich elements
    signed_cookie key sources kind outbox path admin paths hits x
"""
KEYS = st.sampled_from(OPTIONS.split())
WRITTEN = "${SHOP_TOKEN} ${NO} ${file:x} ${ 123 sqlite embedded 0.0.0.0:80 10s a.b"
SCALARS = st.one_of(
    st.sampled_from(
        ["${SHOP_TOKEN}", "${NO}", "${file:x}", "${", "123", "sqlite", "embedded", "0.0.0.0:80", "10s", "a.b"]
    ),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
SECTIONS = st.dictionaries(KEYS, VALUES, max_size=5)


def flow(value: object) -> str:
    """YAML's flow style, which is not quite JSON: some scalars stay without quotes."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key}: {flow(item)}' for key, item in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return f'"{value}"' if isinstance(value, str) and '"' not in value and "\\" not in value else str(value)


def assert_loads_or_explains(text: str) -> None:
    try:
        load(text)
    except ConfigError as error:
        found = error.problems
    else:
        return
    assert found
    assert all(problem.found and problem.remedy for problem in found)
    assert [(it.line, it.column) for it in found] == sorted((it.line, it.column) for it in found)


@given(st.one_of(SECTIONS.map(flow), st.dictionaries(KEYS, SECTIONS, max_size=4).map(flow)))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_tree_of_options_loads_or_is_explained(text):
    assert_loads_or_explains(text)


@given(
    st.one_of(
        st.text(), st.text("ab01:-[]{}&*!|>?%@\"'#,.~\n\t $<=", max_size=40), st.text("[{", min_size=100, max_size=2000)
    )
)
@settings(max_examples=200, deadline=None)
def test_any_text_loads_or_is_explained(text):
    assert_loads_or_explains(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "a: &a [*a]",
        "&a a: &b { c: *b }",
        "a0: &a0 [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "pixels: " + "9" * 5000,
        "x: !!python/object/apply:os.system [id]",
        "!!binary a: !!timestamp b",
        "%YAML 1.1\n---\nversion: yes",
        "--- 1\n--- 2",
        "<<: { version: 1 }",
        "? [1]\n: 2",
        "'",
        "x: !!int abc",
        "x: 2024-99-99",
        "*a",
        "\x00",
        "pixels: \x1b[31m",
        f"? {'key' * 100_000}\n: 1",
        f"{'key' * 300}: {'aA1' * 100_000}",
        f"version: ${{{'A' * 100_000}}}",
    ],
)
def test_trap_is_explained(text):
    with pytest.raises(ConfigError):
        load(text)


def test_base_is_kept_absolute():
    assert load(SHOP, base=Path("x")).base == Path.cwd() / "x"
    assert load(SHOP).base == BASE
