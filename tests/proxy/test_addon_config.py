"""`pixeltwin_config` is set again while mitmproxy runs: the gateway goes on, under the new config."""

import pytest
from mitmproxy import exceptions
from mitmproxy.test import taddons
from tests.delivery.bench import until
from tests.factories import PIXEL

from pixeltwin.proxy.addon import PixelMirror

SHOP = f'pixels: [{{ id: "{PIXEL}", access_token: "${{T}}" }}]\n'
HERE = "outbox: { kind: sqlite, path: outbox.db }\n"


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("T", "t")
    (path := tmp_path / "pixeltwin.yaml").write_text(SHOP + HERE)
    return path


async def test_a_changed_config_is_applied_a_bad_one_refused_and_another_outbox_opened(config):
    addon = PixelMirror()
    with taddons.context(addon, loadcore=False) as host:
        host.configure(addon, pixeltwin_config=str(config))
        gateway = (await addon.running()).gateway
        config.write_text(SHOP + HERE + "identity: { set_cookies: false }\n")
        host.configure(addon, pixeltwin_config=str(config))
        await until(lambda: gateway.policy.set_cookies is False)
        assert (await addon._doors).gateway is gateway
        config.write_text("pixels: []\n")
        with pytest.raises(exceptions.OptionsError, match="yaml:1"):
            host.configure(addon, pixeltwin_config=str(config))
        assert gateway.ready() is None
        config.write_text(SHOP + HERE.replace("outbox.db", "other.db"))
        host.configure(addon, pixeltwin_config=str(config))
        assert (await addon._doors).gateway is not gateway
        await until(lambda: gateway.ready() is not None)
        await addon.done()


@pytest.mark.parametrize("lane", ["fast", "flows"])
def test_a_lane_that_forwards_nothing_is_refused_where_mitmproxy_is_to_forward(config, lane):
    """Else the browser's copy would never reach Meta, or without the twin's event id."""
    addon = PixelMirror()
    with taddons.context(addon, loadcore=False) as host:
        host.configure(addon, pixeltwin_config=str(config))
        with pytest.raises(exceptions.OptionsError, match="another pixeltwin_relay"):
            host.configure(addon, pixeltwin_lane=lane)


async def test_a_pixel_that_mitmproxy_is_to_forward_from_now_on_takes_its_hits_out_of_our_lane(config):
    addon = PixelMirror()
    with taddons.context(addon, loadcore=False) as host:
        for option in ("save_stream_file", "hardump"):
            host.options.add_option(option, str, "", "mitmdump's own")
        host.configure(addon, pixeltwin_config=str(config), pixeltwin_relay="none")
        await addon.running()
        assert addon._lanes is not None
        config.write_text(SHOP.replace("}]", ", relay: native }]") + HERE)
        host.configure(addon, pixeltwin_config=str(config))
        await addon._doors
        assert addon._lanes is None
        await addon.done()
