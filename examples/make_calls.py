"""Writes a CSV of calls to the slow service in examples/slow_api; always the same for the same arguments.

python examples/make_calls.py http://127.0.0.1:9000 --rows 60 > calls.csv
"""

import argparse
import csv
import json
import sys


def rows(address, count):
    """The header, then `count` rows; lists of texts."""
    yield ["url", "method", "body", "header_x_customer"]
    for number in range(1, count + 1):
        order = {"order": number, "product": ("lamp", "chair", "tea")[number % 3], "quantity": number % 5 + 1}
        if number % 4:
            yield [f"{address.rstrip('/')}/orders", "POST", json.dumps(order), f"customer-{number % 7}"]
        else:
            yield [f"{address.rstrip('/')}/orders/{number}", "GET", "", f"customer-{number % 7}"]


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("address", help="where the service listens, such as http://127.0.0.1:9000")
    options.add_argument("--rows", type=int, default=60, help="how many calls (60)")
    chosen = options.parse_args()
    sys.stdout.reconfigure(encoding="utf-8", newline="")
    csv.writer(sys.stdout, lineterminator="\n").writerows(rows(chosen.address, chosen.rows))


if __name__ == "__main__":
    main()
