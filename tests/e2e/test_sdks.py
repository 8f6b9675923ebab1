"""Meta's real SDKs, unchanged, against the sandbox and the gateway."""

import subprocess
import sys

from tests.factories import PIXEL
from tests.npm import installed
from tests.processes import ROOT, TOKEN, UID_KEY, gateway, sandbox, until

EM = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"  # john_smith@gmail.com (PROTOCOL 1.5)
PH = "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"  # 16505551212


def output(*command: object) -> str:
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_python_sdk_posts_to_the_sandbox(tmp_path):
    with sandbox(tmp_path) as meta:
        assert output(sys.executable, ROOT / "tests/sdks/purchase.py", meta.url, PIXEL, TOKEN) == "1"
        (event,) = meta.servers()
    assert (event["event_id"], event["user_data"]["em"], event["custom_data"]["value"]) == ("order-42", [EM], 9.5)


def test_an_event_of_the_node_sdk_goes_through_the_gateway(tmp_path, pytestconfig):
    modules = installed("facebook-nodejs-business-sdk", pytestconfig.cache.mkdir("sdks"))
    with sandbox(tmp_path) as meta, gateway(tmp_path, meta.url, pixel=', ingest_keys: ["${UID_KEY}"]') as running:
        url = f"{running.url}/capi/{PIXEL}/events"
        assert output("node", ROOT / "tests/sdks/purchase.cjs", modules, url, UID_KEY) == "202"
        (event,) = until(meta.servers)
    assert (event["event_id"], event["custom_data"]["currency"]) == ("order-43", "EUR")
    assert (event["user_data"]["em"], event["user_data"]["ph"]) == ([EM], [PH])
