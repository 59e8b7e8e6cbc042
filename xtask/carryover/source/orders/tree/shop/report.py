"""A basket as text."""

WIDTH = 12


def cell(value, width=WIDTH):
    text = str(value)
    if len(text) > width:
        return text[: width - 1] + "~"
    return text.ljust(width)


def row(*values):
    return "|".join(cell(value) for value in values)


def table(basket):
    lines = [row("name", "price", "count")]
    lines += [row(*line) for line in basket.lines]
    lines.append(row("total", basket.total, ""))
    return "\n".join(lines)


def html(basket):
    cells = "".join("<tr>" + "".join(f"<td>{value}</td>" for value in line) + "</tr>" for line in basket.lines)
    return "<table>" + cells + "</table>"


def csv(basket, separator=";"):
    rows = []
    for line in basket.lines:
        rows.append(separator.join(str(value) for value in line))
    return "\n".join(rows) + "\n"
