"""The shop's routes. The server keeps the orders; cart and login live in the visitor's cookies."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from pixeltwin.sandbox.shop import pages
from pixeltwin.sandbox.shop.catalogue import CATALOGUE, Cart, Product
from pixeltwin.sandbox.shop.identity import KNOWN_CUSTOMER, sign, subject_of
from pixeltwin.sandbox.shop.pages import Page, Visitor

MONTH = 30 * 24 * 3600  # how long a login lasts, in seconds
FIRST_ORDER = 1001
ADDED = re.compile(r"([a-z]+)\.(add-[0-9a-f]{32})")  # the cookie that has AddToCart fired once


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopSettings:
    """Where the shop's pixel comes from and reports to.

    `pixel_script` is the URL of fbevents.js, `hit_endpoint` that of the gateway's `/tr/`; None leaves the
    pixel as it is. `uid_key` signs the login cookie. `test_events` is the page that shows the twins, to link to.
    """

    pixel_id: str
    pixel_script: str
    hit_endpoint: str | None
    uid_key: bytes
    uid_cookie: str = "uid"
    test_events: str | None = None


def create_shop(settings: ShopSettings, clock: Callable[[], float] = time.time) -> Starlette:
    """The shop as an app; `clock` gives unix seconds."""
    shop = Shop(settings, clock)
    return Starlette(
        routes=[
            Route("/", shop.home),
            Route("/product/{sku}", shop.product),
            Route("/cart", shop.cart),
            Route("/cart", shop.change_cart, methods=["POST"]),
            Route("/checkout", shop.checkout),
            Route("/checkout", shop.place_order, methods=["POST"]),
            Route("/thanks", shop.thanks),
            Route("/login", shop.login),
            Route("/login", shop.log_in, methods=["POST"]),
            Route("/logout", shop.log_out, methods=["POST"]),
            Route("/shop.css", pages.stylesheet),
        ]
    )


@dataclass
class Shop:
    """The handlers, and the orders placed so far."""

    settings: ShopSettings
    clock: Callable[[], float]
    orders: dict[str, Cart] = field(default_factory=dict)

    async def home(self, request: Request) -> Response:
        return self._show(request, pages.home())

    async def product(self, request: Request) -> Response:
        return self._show(request, pages.product(_product(request.path_params["sku"])))

    async def cart(self, request: Request) -> Response:
        added = ADDED.fullmatch(request.cookies.get("added", ""))
        event = (CATALOGUE[added[1]], added[2]) if added and added[1] in CATALOGUE else None
        response = self._show(request, pages.cart(_cart(request), event))
        response.delete_cookie("added")
        return response

    async def change_cart(self, request: Request) -> Response:
        """Take a product out, or put one in and let the next page tell the pixel."""
        form = await request.form()
        product = _product(str(form.get("sku")))
        response = _go("/cart")
        if form.get("remove"):
            _keep(response, "cart", _cart(request).minus(product).to_cookie())
            return response
        _keep(response, "cart", _cart(request).plus(product).to_cookie())
        _keep(response, "added", f"{product.sku}.add-{uuid4().hex}")
        return response

    async def checkout(self, request: Request) -> Response:
        cart = _cart(request)
        if not cart.lines:
            return _go("/cart")
        return self._show(request, pages.checkout(cart, self._visitor(request)))

    async def place_order(self, request: Request) -> Response:
        cart = _cart(request)
        if not cart.lines:
            return _go("/cart")
        order_id = f"order-{FIRST_ORDER + len(self.orders)}"
        self.orders[order_id] = cart
        response = _go(f"/thanks?order={order_id}")
        response.delete_cookie("cart")
        return response

    async def thanks(self, request: Request) -> Response:
        order_id = request.query_params.get("order", "")
        order = self.orders.get(order_id)
        return self._show(request, pages.thanks(order_id, order)) if order else _go("/")

    async def login(self, request: Request) -> Response:
        visitor = self._visitor(request)
        fresh = visitor.known and "fresh" in request.cookies
        response = self._show(request, pages.welcome(fresh=fresh) if visitor.known else pages.login())
        response.delete_cookie("fresh")
        return response

    async def log_in(self, request: Request) -> Response:
        form = await request.form()
        if str(form.get("email")).strip().lower() != KNOWN_CUSTOMER["em"]:
            return self._show(request, pages.login(failed=True), 401)
        response = _go("/login")
        self._remember(response)
        _keep(response, "fresh", "1")
        return response

    async def log_out(self, request: Request) -> Response:
        response = _go("/")
        response.delete_cookie(self.settings.uid_cookie)
        return response

    def _show(self, request: Request, page: Page, status: int = 200) -> Response:
        html = pages.render(page, self._visitor(request), self.settings)
        headers = {"Cache-Control": "no-store"}  # or going back would fire an event twice
        return HTMLResponse(html, status, headers=headers)

    def _visitor(self, request: Request) -> Visitor:
        name = self.settings.uid_cookie
        subject = subject_of(name, request.cookies.get(name, ""), self.settings.uid_key, self.clock())
        return Visitor(known=subject == KNOWN_CUSTOMER["customer_id"], cart=_cart(request))

    def _remember(self, response: Response) -> None:
        name, expires = self.settings.uid_cookie, int(self.clock()) + MONTH
        value = sign(name, KNOWN_CUSTOMER["customer_id"], expires, self.settings.uid_key)
        response.set_cookie(name, value, max_age=MONTH, httponly=True, samesite="lax")


def _product(sku: str) -> Product:
    if sku not in CATALOGUE:
        raise HTTPException(404, "no such product")
    return CATALOGUE[sku]


def _cart(request: Request) -> Cart:
    return Cart.from_cookie(request.cookies.get("cart", ""))


def _go(url: str) -> Response:
    return RedirectResponse(url, 303)


def _keep(response: Response, name: str, value: str) -> None:
    response.set_cookie(name, value, httponly=True, samesite="lax")
