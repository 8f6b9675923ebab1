"""What only a restart can change is a problem of the new file, with its place."""

from pathlib import Path

import pytest

from pixeltwin.config import Config, load_config
from pixeltwin.errors import ConfigError

SHOP = 'pixels: [{ id: "1234567890123456", access_token: "${T}" }]\n'
ENV = {"T": "t", "DSN": "postgresql://a@b/c", "OTHER": "postgresql://a@b/d"}
POSTGRES = 'outbox: {{ kind: postgres, url: "${{{dsn}}}" {more} }}\n'


def loaded(folder: Path, text: str, running: Config | None = None) -> Config:
    (path := folder / "pixeltwin.yaml").write_text(text)
    return load_config(path, ENV, running=running)


@pytest.mark.parametrize(
    ("before", "after", "key", "line"),
    [
        (SHOP, f"{SHOP}server: {{ listen: 127.0.0.1:9999 }}\n", "server.listen", 2),
        (f"server: {{ listen: 127.0.0.1:9999 }}\n{SHOP}", SHOP, "server.listen", 1),
        (SHOP, f"{SHOP}outbox: {{ kind: memory }}\n", "outbox.kind", 2),
        (SHOP, f"{SHOP}outbox: {{ path: x.db, kind: sqlite }}\n", "outbox.path", 2),
        (SHOP, f"{SHOP}\noutbox: {{ durability: normal, kind: sqlite }}\n", "outbox.durability", 3),
        (SHOP, f"{SHOP}admin: null\n", "admin", 2),
        (SHOP, f"{SHOP}admin: {{ listen: '127.0.0.1:9998' }}\n", "admin.listen", 2),
        (SHOP + POSTGRES.format(dsn="DSN", more=""), SHOP + POSTGRES.format(dsn="OTHER", more=""), "outbox.url", 2),
        (
            SHOP + POSTGRES.format(dsn="DSN", more=""),
            SHOP + POSTGRES.format(dsn="DSN", more=", schema: other"),
            "outbox.schema",
            2,
        ),
        (
            SHOP + POSTGRES.format(dsn="DSN", more=""),
            f"{SHOP}delivery: {{ senders: false }}\n" + POSTGRES.format(dsn="DSN", more=""),
            "delivery.senders",
            2,
        ),
    ],
)
def test_it_is_named_and_told_to_want_a_restart(tmp_path, before, after, key, line):
    running = loaded(tmp_path, before)
    with pytest.raises(ConfigError) as told:
        loaded(tmp_path, after, running)
    (problem,) = told.value.problems
    assert (problem.key, problem.line, problem.remedy) == (key, line, f"restart to change {key}")
    assert ENV["OTHER"] not in str(problem)


def test_everything_else_may_change(tmp_path):
    running = loaded(tmp_path, f"{SHOP}admin: {{ token: '${{T}}' }}\n")
    changed = (
        f"{SHOP}admin: {{ token: '${{DSN}}' }}\nidentity: {{ remember: 90d }}\n"
        "server: { paths: { hits: [/px] }, limits: { body: 1KiB }, public_hosts: [a.example] }\n"
        "rules: [{ name: a, then: { drop: twin } }]\nelements: { a: { cookie: a } }\n"
    )
    assert loaded(tmp_path, changed, running).server.paths.hits == ("/px",)


def test_it_stands_among_the_file_s_other_problems(tmp_path):
    running = loaded(tmp_path, SHOP)
    with pytest.raises(ConfigError) as told:
        loaded(
            tmp_path, f"{SHOP}outbox: {{ kind: memory }}\nrules: [{{ name: a, match: {{ pixel: nobody }} }}]\n", running
        )
    assert [problem.line for problem in told.value.problems][-1] == 3
