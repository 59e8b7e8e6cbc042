import shop
from shop import report

basket = shop.Basket(customer="ada")
for name, price, count in [("tea", 4, 3), ("milk", 2, 1), ("bread", 3, 2), ("jam", 7, 1)]:
    basket.add(name, price, count)
print(report.table(basket))
print(basket.total, basket.cheapest(2), sorted(basket.labels()))
try:
    basket.add("tea", -1)
except shop.PriceError as error:
    print("refused:", error)
print(list(shop.pairs([1, 2, 3, 4, 5])), shop.tax(100), shop.tax.__doc__)
