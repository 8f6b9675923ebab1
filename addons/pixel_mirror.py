"""Loads pixeltwin into mitmdump, mitmproxy or mitmweb:

    mitmdump --mode reverse:https://www.facebook.com@8080 \\
        -s addons/pixel_mirror.py --set pixeltwin_config=config/minimal.yaml
"""

from pixeltwin.proxy.addon import PixelMirror

addons = [PixelMirror()]
