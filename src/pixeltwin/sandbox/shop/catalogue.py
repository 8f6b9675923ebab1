"""What the shop sells, and what Meta is told about it. Everything comes in twos."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, Final, Self
from urllib.parse import quote, unquote

CURRENCY: Final = "EUR"
MOST: Final = 9  # of one product: a cart cookie cannot ask for a million
PICTURES: Final = resources.files(__package__) / "pictures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product; `cents` is its price."""

    sku: str
    name: str
    category: str
    cents: int
    blurb: str

    @property
    def price(self) -> float:
        return self.cents / 100

    def picture(self) -> str:
        """The product's SVG, to be put into a page."""
        return (PICTURES / f"{self.sku}.svg").read_text()


CATALOGUE: Final = {
    product.sku: product
    for product in (
        Product(
            sku="mugs",
            name="Morning mugs",
            category="Kitchen",
            cents=2490,
            blurb="Two stoneware mugs, one glaze. The second is for whoever is still asleep.",
        ),
        Product(
            sku="socks",
            name="Wool socks",
            category="Clothing",
            cents=1450,
            blurb="A left one and a right one that nobody can tell apart.",
        ),
        Product(
            sku="bookends",
            name="Oak bookends",
            category="Home",
            cents=4900,
            blurb="Two halves of one block of oak, holding up everything in between.",
        ),
        Product(
            sku="candles",
            name="Table candles",
            category="Home",
            cents=1290,
            blurb="A pair of beeswax candles that burn down at the same speed.",
        ),
        Product(
            sku="shakers",
            name="Salt and pepper",
            category="Kitchen",
            cents=1990,
            blurb="Two porcelain shakers. They were never meant to stand alone.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Line:
    """A product in a cart, `quantity` times."""

    product: Product
    quantity: int

    @property
    def cents(self) -> int:
        return self.product.cents * self.quantity

    def content(self) -> dict[str, Any]:
        return {"id": self.product.sku, "quantity": self.quantity, "item_price": self.product.price}


@dataclass(frozen=True, slots=True)
class Cart:
    """What a visitor has put aside."""

    lines: tuple[Line, ...] = ()

    @classmethod
    def from_cookie(cls, value: str) -> Self:
        """Read a cart cookie; whatever in it is not a known product and a sane quantity is left out."""
        try:
            wanted = json.loads(unquote(value))
        except (ValueError, RecursionError):
            return cls()
        return cls(_lines(wanted)) if isinstance(wanted, dict) else cls()

    def to_cookie(self) -> str:
        quantities = {line.product.sku: line.quantity for line in self.lines}
        return quote(json.dumps(quantities, separators=(",", ":")))

    def plus(self, product: Product) -> "Cart":
        """The cart with one more of the product."""
        if all(line.product != product for line in self.lines):
            return Cart((*self.lines, Line(product, 1)))
        return Cart(tuple(_one_more(line) if line.product == product else line for line in self.lines))

    def minus(self, product: Product) -> "Cart":
        """The cart without the product."""
        return Cart(tuple(line for line in self.lines if line.product != product))

    @property
    def count(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def cents(self) -> int:
        return sum(line.cents for line in self.lines)

    def custom_data(self) -> dict[str, Any]:
        """The cart as Meta's standard events want it."""
        return {
            "content_type": "product",
            "content_ids": [line.product.sku for line in self.lines],
            "contents": [line.content() for line in self.lines],
            "num_items": self.count,
            "value": self.cents / 100,
            "currency": CURRENCY,
        }


def product_data(product: Product) -> dict[str, Any]:
    """One product as Meta's `ViewContent` and `AddToCart` want it."""
    return {
        "content_type": "product",
        "content_ids": [product.sku],
        "contents": [Line(product, 1).content()],
        "content_name": product.name,
        "content_category": product.category,
        "value": product.price,
        "currency": CURRENCY,
    }


def euros(cents: int) -> str:
    return f"€{cents / 100:,.2f}"


def _lines(wanted: Mapping[str, Any]) -> tuple[Line, ...]:
    return tuple(
        Line(CATALOGUE[sku], min(quantity, MOST))
        for sku, quantity in wanted.items()
        if sku in CATALOGUE and type(quantity) is int and quantity > 0
    )


def _one_more(line: Line) -> Line:
    return replace(line, quantity=min(line.quantity + 1, MOST))
