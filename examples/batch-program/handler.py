"""Computes the invoice of each order: JSON lines in, JSON lines out, one for one and in order."""

import json
import sys
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

VAT = {"CH": "0.081", "DE": "0.19", "FR": "0.20", "PT": "0.23", "SE": "0.25"}


def invoice(order):
    try:
        net = Decimal(order["amount"])
    except InvalidOperation:
        raise ValueError(f"the amount {order['amount']!r} is no number") from None
    if net <= 0:
        raise ValueError(f"the amount {order['amount']} is not above zero")
    rate = Decimal(VAT.get(order["country"], "0"))
    tax = (net * rate).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return {
        "order_id": order["order_id"],
        "name": " ".join(order["name"].split()),
        "net": str(net),
        "tax": str(tax),
        "gross": str(net + tax),
    }


for line in sys.stdin:
    order = json.loads(line)
    try:
        answer = invoice(order)
    except ValueError as error:
        answer = {"error": f"row {order['row']}: {error}"}
    print(json.dumps(answer, ensure_ascii=False), flush=True)
