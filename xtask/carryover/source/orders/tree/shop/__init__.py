"""A small shop."""

from . import pricing
from .basket import Basket, PriceError

__all__ = ["Basket", "PriceError", "pairs", "tax"]

tax = pricing.tax


def pairs(items):
    """Neighbours, two by two."""
    items = iter(items)
    for first in items:
        second = next(items, None)
        yield first, second


def triples(items):
    """Neighbours, three by three."""
    items = list(items)
    for at in range(0, len(items) - 2, 3):
        yield items[at], items[at + 1], items[at + 2]


def unused(a, b=2, *rest, key=None, **more):
    # Nobody calls this.
    if a > b:
        return a - b
    total = 0
    for item in rest:
        total += item * 2
    return total, key, more
