"""Writes a CSV of orders to try the farm with: people, addresses, amounts; always the same for the same seed.

    python examples/generate_data.py --rows 200 --seed 1 > data.csv
    python examples/generate_data.py --rows 1000 --work-ms 50 --fail-every 100 > data.csv
    python examples/generate_data.py --mebibytes 500 > data.csv

`--work-ms N` adds a column `work_ms`: each row then takes about N milliseconds (between half and one and a half).
`--fail-every N` adds a column `fail`: every Nth row is marked to fail.
`--mebibytes N` writes rows until the file is that large, however many they are; memory stays small.
"""

import argparse
import csv
import io
import itertools
import random
import sys
import unicodedata
from datetime import date, timedelta

FIRST = "Aino Björn Chloé Dmitri Elif Farid Grace Hedda Ivo Jürgen Kenji Léa María Noor Oskar Priya".split()
LAST = "Andersson Brandt Çelik Duarte Eriksen Fischer García Haddad Ito Jansen Kowalska Lindqvist Müller Novák".split()
CITIES = [("Berlin", "DE"), ("Gothenburg", "SE"), ("Lyon", "FR"), ("Osaka", "JP"), ("Porto", "PT"), ("Zürich", "CH")]
PRODUCTS = [("desk lamp", 3490), ("notebook, ruled", 450), ('screen 27"', 21900), ("tea, 100 g", 890), ("chair", 12900)]


def ascii_letters(text):
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "".join(letter for letter in plain.lower() if letter.isalpha())


def rows(count, seed, work_ms=0, fail_every=0):
    """The header, then `count` rows, or without end for None; lists of texts."""
    chance = random.Random(seed)
    header = ["order_id", "name", "email", "city", "country", "product", "quantity", "amount", "order_date"]
    yield header + ["work_ms"] * bool(work_ms) + ["fail"] * bool(fail_every)
    for number in itertools.count(1) if count is None else range(1, count + 1):
        first, last = chance.choice(FIRST), chance.choice(LAST)
        city, country = chance.choice(CITIES)
        product, cents = chance.choice(PRODUCTS)
        quantity = chance.choice([1, 1, 1, 2, 2, 3, 10])
        gap = "  " if chance.random() < 0.1 else " "  # some people type twice: a task for whoever cleans up
        row = [
            f"A{seed:02d}-{number:06d}",
            f"{first}{gap}{last}",
            f"{ascii_letters(first)}.{ascii_letters(last)}{chance.randrange(100)}@example.org",
            city,
            country,
            product,
            str(quantity),
            f"{quantity * cents / 100:.2f}",
            (date(2026, 1, 1) + timedelta(days=chance.randrange(300))).isoformat(),
        ]
        if work_ms:
            row.append(str(round(work_ms * chance.uniform(0.5, 1.5))))
        if fail_every:
            row.append("1" if number % fail_every == 0 else "")
        yield row


def encoded(row):
    """A row as a line of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue().encode()


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rows", type=int, default=200, help="how many rows (200)")
    options.add_argument("--seed", type=int, default=1, help="which rows (1)")
    options.add_argument("--mebibytes", type=float, help="rows until the file is so large, instead of --rows")
    options.add_argument("--work-ms", type=int, default=0, help="about how long each row takes, in milliseconds (0)")
    options.add_argument("--fail-every", type=int, default=0, help="mark every Nth row to fail (0: none)")
    chosen = options.parse_args()
    count = chosen.rows if chosen.mebibytes is None else None
    left = float("inf") if chosen.mebibytes is None else chosen.mebibytes * 2**20
    for row in rows(count, chosen.seed, chosen.work_ms, chosen.fail_every):
        line = encoded(row)
        left -= len(line)
        if left < 0:
            break
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
