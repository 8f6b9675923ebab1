"""`mitmdump -s addons/pixel_mirror.py`: real processes, a sandbox Meta as upstream and as Graph."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mitmproxy.io import FlowReader
from tests.corpus import NAMED, VISITOR, send, unpaired
from tests.factories import PIXEL, UA, hit_query
from tests.processes import BIN, ROOT, Gateway, Meta, free_port, mitmdump, sandbox, started, until, write_config
from tests.shared_hits import shared_hits

from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.proxy.flows import hit_request

HEADERS = {"user-agent": UA, "x-forwarded-for": VISITOR, "cookie": "session=s3cret"}


@pytest.fixture
def meta(tmp_path: Path) -> Iterator[Meta]:
    with sandbox(tmp_path) as running:
        yield running


@pytest.fixture
def reverse(tmp_path: Path, meta: Meta) -> Iterator[Gateway]:
    config = write_config(tmp_path, meta.url)
    with mitmdump(tmp_path, config, f"reverse:{meta.url}", "-w", str(tmp_path / "flows")) as running:
        yield running


def recorded(folder: Path) -> list:
    """The flows that mitmdump wrote, as it left them."""
    with (folder / "flows").open("rb") as file:
        return list(FlowReader(file).stream())


def now_query(ev: str = "PageView", **parameters: str) -> str:
    return hit_query(ev, ts=str(time.time_ns() // 1_000_000), fbp="fb.1.1795461138686.39550", **parameters)


def test_a_hit_without_id_reaches_meta_twice_under_one_id(reverse, meta):
    answer = httpx.get(f"{reverse.url}/tr/?{now_query()}", headers=HEADERS, trust_env=False)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert [cookie.partition("=")[0] for cookie in answer.headers.get_list("set-cookie")] == [
        "_fbp"
    ]  # ours, not Meta's
    pair = until(meta.pairs)[0]
    relayed = dict(map(tuple, pair["browser"]["params"]))
    assert relayed["eid"] == pair["event_id"] == pair["server"]["event"]["event_id"]
    assert pair["server"]["event"]["user_data"]["client_ip_address"] == VISITOR


def test_the_site_s_cookies_do_not_reach_meta(reverse, meta):
    httpx.get(f"{reverse.url}/tr/?{now_query()}", headers=HEADERS, trust_env=False)
    pair = until(meta.pairs)[0]
    assert pair["browser"]["cookies"] == []
    assert not {"cookie", "x-forwarded-for"} & pair["browser"]["headers"].keys()


def test_every_shared_hit_ends_as_a_twin_or_a_named_skip(reverse, meta, tmp_path):
    lines = shared_hits()
    assert len(send(lines, reverse.url)) == len(lines)
    until(lambda: meta.report()["counts"]["server_only"] == 0 and len(meta.pairs()) > 50)
    time.sleep(1)  # let the last comments be written before mitmdump forgets its flows
    assert reverse.process.stop() == 0
    twins = set()
    for flow in recorded(tmp_path):
        hit = parse_hit(hit_request(flow, host=""), Limits())
        if flow.comment.startswith("no twin: "):
            assert flow.comment.removeprefix("no twin: ") in NAMED
        elif flow.comment.startswith("twin"):
            assert isinstance(hit, PixelHit)
            twins.add((hit.pixel_id, hit.event_name, hit.event_id))
        else:
            assert not flow.request.path.startswith("/tr"), flow.request.path
    assert len(twins) > 50
    assert unpaired(twins - refused(meta, twins), meta) == set()
    assert meta.report()["refused"] == []


def refused(meta: Meta, twins: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """The purchases without value or currency: Meta would refuse them, so they are not sent."""
    sent = {(event["event_name"], event["event_id"]) for event in meta.servers()}
    return {twin for twin in twins if twin[1] == "Purchase" and twin[1:] not in sent}


def test_replayed_flows_send_no_event_again(reverse, meta, tmp_path):
    httpx.get(f"{reverse.url}/tr/?{now_query()}", headers=HEADERS, trust_env=False)
    assert until(meta.pairs)
    assert reverse.process.stop() == 0
    (again := tmp_path / "again").mkdir()
    config = write_config(again, meta.url)  # with an outbox that has seen nothing
    with mitmdump(again, config, f"reverse:{meta.url}", "-C", str(tmp_path / "flows")):
        assert until(lambda: meta.report()["counts"]["browser_duplicates"])
        time.sleep(1)
    assert meta.report()["counts"]["server_duplicates"] == 0


def test_a_developer_s_own_browser_is_mirrored_through_an_explicit_proxy(tmp_path, meta):
    config = write_config(tmp_path, meta.url)
    mapped = ("--map-remote", f"|http://www.facebook.com/|{meta.url}/")
    with (
        mitmdump(tmp_path, config, "regular", *mapped) as proxy,
        httpx.Client(proxy=proxy.url, trust_env=False) as browser,
    ):
        browser.get(f"http://www.facebook.com/tr/?{now_query()}", headers=HEADERS)
        browser.get(f"{meta.url}/tr/?{now_query('Lead')}", headers=HEADERS)
        assert until(lambda: len(meta.pairs()) == 2), meta.report()


def test_a_reload_of_the_script_loses_no_hit_and_no_worker(tmp_path, meta):
    script = tmp_path / "mirror.py"
    shutil.copy(ROOT / "addons/pixel_mirror.py", script)
    config = write_config(tmp_path, meta.url)
    with mitmdump(tmp_path, config, f"reverse:{meta.url}", script=script) as proxy:
        for reload in range(3):
            for n in range(30):
                query = now_query("Lead", eid=f"reload-{reload}-{n}")
                httpx.get(f"{proxy.url}/tr/?{query}", headers=HEADERS, trust_env=False)
            script.write_text(script.read_text() + "\n")
            assert until(lambda seen=reload + 2: proxy.process.output().count("Loading script") == seen)
        httpx.get(f"{proxy.url}/tr/?{now_query('Lead', eid='after')}", headers=HEADERS, trust_env=False)
        assert until(lambda: len(meta.pairs()) == 91), meta.report()["counts"]
        assert proxy.process.stop() == 0
        assert not re.search(r"\b[Ee]rror\b", proxy.process.output())
    assert meta.report()["counts"]["server_duplicates"] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "pixeltwin_config is not set"), ("pixels: [{ id: x }]\n", "pixeltwin.yaml:1:")],
    ids=["none", "bad"],
)
def test_without_a_usable_config_mitmdump_does_not_start(tmp_path, text, said):
    """A proxy that runs without its addon would mirror nothing, and say nothing."""
    config = tmp_path / "pixeltwin.yaml"
    config.write_text(text)
    command = (BIN / "mitmdump", "--mode", f"reverse:http://127.0.0.1:9@127.0.0.1:{free_port()}")
    addon = ("-s", ROOT / "addons/pixel_mirror.py", "--set", f"pixeltwin_config={config if text else ''}")
    with started(*command, *addon, log=tmp_path / "log") as process:
        assert process.popen.wait(20) == 1
        assert said in process.output()


def test_mitmweb_shows_hit_and_twin_in_its_content_view(tmp_path, meta):
    port, web = free_port(), free_port()
    config = write_config(tmp_path, meta.url)
    command = (
        *(BIN / "mitmweb", "--mode", f"reverse:{meta.url}@127.0.0.1:{port}", "-s", ROOT / "addons/pixel_mirror.py"),
        *("--set", f"pixeltwin_config={config}", "--set", f"web_port={web}", "--no-web-open-browser"),
        *("--set", "web_password=open", "--set", f"confdir={tmp_path / 'mitmproxy'}"),
    )
    with started(*command, log=tmp_path / "mitmweb.log", port=port):
        httpx.get(f"http://127.0.0.1:{port}/tr/?{now_query(cd_value='9.5')}", headers=HEADERS, trust_env=False)
        assert until(meta.pairs)
        with httpx.Client(base_url=f"http://127.0.0.1:{web}", params={"token": "open"}, trust_env=False) as api:
            flow = until(lambda: next((f for f in api.get("/flows").json() if "delivered" in f["comment"]), None))
            assert flow["marked"]
            shown = api.get(f"/flows/{flow['id']}/request/content/Meta%20Pixel.json").json()
    assert (shown["view_name"], shown["syntax_highlight"]) == ("Meta Pixel", "yaml")
    for expected in (
        f"id: '{PIXEL}'",
        "custom data:",
        "value: '9.5'",
        "twin:",
        "event_id: pt-",
        "action_source: website",
    ):
        assert expected in shown["text"]


def test_hits_are_answered_and_not_forwarded_when_told_so(tmp_path, meta):
    config = write_config(tmp_path, meta.url)
    with mitmdump(tmp_path, config, f"reverse:{meta.url}", "--set", "pixeltwin_relay=none") as proxy:
        assert httpx.get(f"{proxy.url}/tr/?{now_query()}", headers=HEADERS, trust_env=False).status_code == 200
        assert until(lambda: meta.report()["counts"]["server_only"] == 1)


LANES = ("fast", "flows", "native")


@pytest.mark.parametrize("lane", LANES)
def test_the_lane_changes_no_answer_and_no_twin(tmp_path, meta, lane):
    """Hits of our pixels are answered here, those of other pixels and everything else go on to Meta."""
    config = write_config(tmp_path, meta.url)
    options = ("--set", "pixeltwin_relay=background", "--set", f"pixeltwin_lane={lane}")
    with (
        mitmdump(tmp_path, config, f"reverse:{meta.url}", *options) as proxy,
        httpx.Client(base_url=proxy.url, headers=HEADERS, trust_env=False) as browser,
    ):
        ours = browser.get(f"/tr/?{now_query(eid='ours')}")
        foreign = browser.get(f"/tr/?{now_query(eid='foreign', id='9999999999999999')}")
        script = browser.get("/en_US/fbevents.js")
        again = browser.post("/tr/", data={"id": PIXEL, "ev": "Lead", "dl": "https://a.example/", "eid": "again"})
        assert [one.status_code for one in (ours, foreign, script, again)] == [200, 200, 200, 200]
        assert ours.headers["cache-control"] == "no-store"
        assert "fbq" in script.text
        assert until(lambda: {pair["event_id"] for pair in meta.pairs()} == {"ours", "again"}), meta.report()
        assert until(lambda: meta.report()["counts"]["browser_only"] == 1), "the other pixel's own hit"
    assert meta.report()["counts"]["browser_duplicates"] == meta.report()["counts"]["server_duplicates"] == 0


@pytest.mark.parametrize("lane", LANES)
def test_a_connection_with_tls_is_answered_in_every_lane(tmp_path, meta, lane):
    config = write_config(tmp_path, meta.url)
    options = ("--set", "pixeltwin_relay=background", "--set", f"pixeltwin_lane={lane}")
    with (
        mitmdump(tmp_path, config, f"reverse:{meta.url}", *options) as proxy,
        httpx.Client(verify=False, headers=HEADERS, trust_env=False, http2=False) as browser,  # noqa: S501 mitmproxy's own CA
    ):
        url = proxy.url.replace("http://", "https://")
        assert browser.get(f"{url}/tr/?{now_query(eid='tls')}").status_code == 200
        assert "fbq" in browser.get(f"{url}/en_US/fbevents.js").text
        assert until(meta.pairs)[0]["event_id"] == "tls"


def test_hits_in_the_flows_lane_are_saved_like_any_flow(tmp_path, meta):
    config = write_config(tmp_path, meta.url)
    options = ("--set", "pixeltwin_relay=background", "-w", str(tmp_path / "flows"))
    with mitmdump(tmp_path, config, f"reverse:{meta.url}", *options) as proxy:
        httpx.get(f"{proxy.url}/tr/?{now_query(eid='saved')}", headers=HEADERS, trust_env=False)
        assert until(meta.pairs)
        assert proxy.process.stop() == 0
    (flow,) = recorded(tmp_path)
    assert (flow.request.query["eid"], flow.response.status_code) == ("saved", 200)
    assert flow.comment.startswith("twin")
    assert flow.request.timestamp_start <= flow.response.timestamp_end
