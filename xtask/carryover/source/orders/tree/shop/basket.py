"""What somebody is about to buy."""

from .pricing import discount, shipping, tax


class PriceError(ValueError):
    """A price that cannot be."""


class Basket:
    """Lines of a name, a price and a count."""

    limit = 100

    def __init__(self, customer, lines=()):
        self.customer = customer
        self.lines = list(lines)

    def add(self, name, price, count=1):
        if price <= 0 or count < 1:
            raise PriceError(f"{name} at {price}")
        if len(self.lines) >= self.limit:
            raise PriceError("full")
        self.lines.append((name, price, count))

    @property
    def total(self):
        """With tax and without discount."""
        amount = sum(price * count for _, price, count in self.lines)
        return amount - discount(amount) + tax(amount)

    def cheapest(self, number=1):
        by_price = sorted(self.lines, key=lambda line: (line[1], line[0]))
        return [name for name, _, _ in by_price[:number]]

    def labels(self):
        return {f"{self.customer}:{name}" for name, *_ in self.lines}

    def weight(self):
        total = 0
        for _, _, count in self.lines:
            total += count
        return total + 1

    def delivery(self, express=False):
        cost = shipping(self.weight(), express)
        if cost > 10:
            cost = cost - 1
        return cost

    def remove(self, name):
        kept = [line for line in self.lines if line[0] != name]
        removed = len(self.lines) - len(kept)
        self.lines = kept
        return removed
