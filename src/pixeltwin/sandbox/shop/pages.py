"""The shop's pages: what stands on them, and what they tell the pixel."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from pixeltwin.sandbox.shop import snippet
from pixeltwin.sandbox.shop.catalogue import CATALOGUE, Cart, Line, Product, euros, product_data
from pixeltwin.sandbox.shop.identity import KNOWN_CUSTOMER
from pixeltwin.sandbox.shop.snippet import PixelCall

STATIC: Final = resources.files(__package__) / "static"
LAYOUT: Final = Template((STATIC / "layout.html").read_text())
CSS: Final = (STATIC / "shop.css").read_bytes()


class Wiring(Protocol):
    """The part of the shop's settings that a page needs."""

    @property
    def pixel_id(self) -> str: ...
    @property
    def pixel_script(self) -> str: ...
    @property
    def hit_endpoint(self) -> str | None: ...
    @property
    def test_events(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who looks at a page: the known customer or anybody, and their cart."""

    known: bool
    cart: Cart


@dataclass(frozen=True, slots=True)
class Page:
    """A page's title and body, and its own event besides PageView."""

    title: str
    body: str
    event: PixelCall | None = None


def render(page: Page, visitor: Visitor, wiring: Wiring) -> str:
    """The whole document."""
    calls = [PixelCall("track", "PageView"), *([page.event] if page.event else [])]
    return LAYOUT.substitute(
        title=escape(page.title),
        snippet=snippet.snippet(wiring.pixel_id, wiring.pixel_script, wiring.hit_endpoint, calls),
        noscript=snippet.noscript(wiring.pixel_id, wiring.hit_endpoint, calls),
        account=KNOWN_CUSTOMER["fn"] if visitor.known else "Log in",
        count=visitor.cart.count,
        body=page.body,
        told=_told(calls),
        test_events=_link(wiring.test_events),
    )


async def stylesheet(_: Request) -> Response:
    return Response(CSS, media_type="text/css")


def home() -> Page:
    cards = "".join(map(_card, CATALOGUE.values()))
    intro = "<h1>Good things come in twos</h1><p class=lead>A small shop that sells everything as a pair.</p>"
    return Page("Tandem", f"{intro}<ul class=cards>{cards}</ul>")


def product(item: Product) -> Page:
    body = f"""
<article class=product>
  <div class=picture>{item.picture()}</div>
  <div>
    <p class=kind>{item.category}</p>
    <h1>{item.name}</h1>
    <p class=lead>{item.blurb}</p>
    <p class=price>{euros(item.cents)} <small>the pair</small></p>
    {_form("/cart", "Add to cart", sku=item.sku)}
  </div>
</article>"""
    return Page(item.name, body, PixelCall("track", "ViewContent", product_data(item)))


def cart(content: Cart, added: tuple[Product, str] | None) -> Page:
    """The cart; `added` is the product that was put in just now, and the id of its AddToCart."""
    event = PixelCall("track", "AddToCart", product_data(added[0]), added[1]) if added else None
    if not content.lines:
        return Page("Your cart", f"<h1>Your cart is empty</h1>{_onward()}", event)
    notice = f"<p class=notice role=status>{added[0].name} added.</p>" if added else ""
    checkout = '<p><a class=button href="/checkout">Go to checkout</a></p>'
    return Page("Your cart", f"<h1>Your cart</h1>{notice}{_table(content, removable=True)}{checkout}", event)


def checkout(content: Cart, visitor: Visitor) -> Page:
    hint = 'Have an account? <a href="/login">Log in</a> and the gateway can tell who you are.'
    who = f"Sent to <b>{_full_name()}</b>, {KNOWN_CUSTOMER['em']}." if visitor.known else hint
    body = f"<h1>Checkout</h1>{_table(content)}<p>{who}</p>{_form('/checkout', 'Place order')}"
    return Page("Checkout", body, PixelCall("track", "InitiateCheckout", content.custom_data()))


def thanks(order_id: str, order: Cart) -> Page:
    intro = f"<h1>Thank you twice</h1><p class=lead>Your order is <b>{order_id}</b>.</p>"
    body = f"{intro}{_table(order)}{_onward()}"
    return Page("Thank you", body, PixelCall("track", "Purchase", order.custom_data(), order_id))


def login(*, failed: bool = False) -> Page:
    notice = "<p class=notice role=alert>This shop knows one customer only. Try the address below.</p>"
    body = f"""
<h1>Log in</h1>{notice if failed else ""}
<form method=post action="/login" class=login>
  <label>Name <input name=name value="{_full_name()}" autocomplete=off></label>
  <label>E-mail <input name=email type=email value="{KNOWN_CUSTOMER["em"]}" autocomplete=off required></label>
  <button>Log in</button>
</form>"""
    return Page("Log in", body)


def welcome(*, fresh: bool) -> Page:
    """The customer's own page; a fresh login is told to the pixel, once."""
    body = f"<h1>Hello, {KNOWN_CUSTOMER['fn']}</h1><p class=lead>You are logged in as {_full_name()}.</p>"
    event = PixelCall("trackCustom", "Login", {"method": "form"}) if fresh else None
    return Page("Your account", f"{body}{_onward()}{_form('/logout', 'Log out', quiet=True)}", event)


def _card(item: Product) -> str:
    return f"""
<li><a href="/product/{item.sku}">
  <div class=picture>{item.picture()}</div>
  <span class=name><b>{item.name}</b> <span class=price>{euros(item.cents)}</span></span>
</a></li>"""


def _table(content: Cart, *, removable: bool = False) -> str:
    rows = "".join(_row(line, removable=removable) for line in content.lines)
    total = f"<tr class=total><td>Total<td>{content.count}<td>{euros(content.cents)}</tr>"
    return f"<table>{rows}{total}</table>"


def _row(line: Line, *, removable: bool) -> str:
    item = line.product
    remove = _form("/cart", f"Remove {item.name}", quiet=True, sku=item.sku, remove="1") if removable else ""
    name = f'<a href="/product/{item.sku}">{item.name}</a>{remove}'
    return f"<tr><td>{name}<td>{line.quantity}<td>{euros(line.cents)}</tr>"


def _form(action: str, label: str, *, quiet: bool = False, **fields: str) -> str:
    hidden = "".join(f'<input type=hidden name={name} value="{value}">' for name, value in fields.items())
    look = " class=quiet" if quiet else ""
    return f'<form method=post action="{action}">{hidden}<button{look}>{label}</button></form>'


def _onward() -> str:
    return '<p><a class=button href="/">Keep looking around</a></p>'


def _full_name() -> str:
    return f"{KNOWN_CUSTOMER['fn']} {KNOWN_CUSTOMER['ln']}"


def _told(calls: Sequence[PixelCall]) -> str:
    """What the page told the pixel, for the curious."""
    return "".join(f"<li><b>{call.event_name}</b> {_arguments(call)}" for call in calls)


def _arguments(call: PixelCall) -> str:
    own_id = f"eventID {call.event_id} " if call.event_id else ""
    data = json.dumps(call.custom_data) if call.custom_data else ""
    return f"<code>{escape(own_id + data)}</code>" if own_id or data else ""


def _link(url: str | None) -> str:
    return f'<p><a href="{escape(url)}" target=_blank rel=noopener>See their twins</a></p>' if url else ""
