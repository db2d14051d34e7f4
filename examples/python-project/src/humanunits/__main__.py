"""`humanunits 10MB 2h30m`: says what each argument means."""

import sys

from humanunits import parse_duration, parse_size


def main(arguments=None):
    """Print one line for each argument; 1 when one of them means nothing."""
    failed = False
    for text in sys.argv[1:] if arguments is None else arguments:
        for parse, unit in ((parse_duration, "s"), (parse_size, "bytes")):
            try:
                value = parse(text)
            except ValueError:
                continue
            print(f"{text} = {getattr(value, 'total_seconds', lambda: value)()} {unit}")
            break
        else:
            print(f"{text} is neither a duration nor a size", file=sys.stderr)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
