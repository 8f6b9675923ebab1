"""The demo shop: a small honest web shop whose pages carry the Meta Pixel's usual snippet."""

from pixeltwin.sandbox.shop.app import ShopSettings, create_shop
from pixeltwin.sandbox.shop.identity import KNOWN_CUSTOMER, sign
from pixeltwin.sandbox.shop.snippet import PixelCall, pixel_calls

__all__ = ["KNOWN_CUSTOMER", "PixelCall", "ShopSettings", "create_shop", "pixel_calls", "sign"]
