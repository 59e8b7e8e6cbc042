"""What things cost."""

import json
import os

with open(os.path.join(os.path.dirname(__file__), "rates.json")) as file:
    RATES = json.load(file)

STEPS = [(10, 0), (50, 5), (100, 10)]


def remembered(function):
    known = {}

    def inner(*arguments):
        if arguments not in known:
            known[arguments] = function(*arguments)
        return known[arguments]

    inner.__doc__ = function.__doc__
    return inner


@remembered
def tax(amount, kind="normal"):
    """The tax on an amount."""
    return amount * RATES[kind] // 100


def discount(amount):
    best = 0
    for limit, percent in STEPS:
        if amount >= limit:
            best = percent
    return amount * best // 100


def shipping(weight, express=False):
    base = 5 if weight < 10 else 9
    if express:
        base = base * 2 + 1
    return base


class Currency:
    """Money of a country."""

    known = {"EUR": 100, "USD": 110}

    def __init__(self, code):
        self.code = code

    def convert(self, amount):
        return amount * self.known[self.code] / 100

    @classmethod
    def codes(cls):
        return sorted(cls.known)
