"""How the readers of foreign bytes are fuzzed: for how long, and with real inputs that were damaged.

Runs are the same every time, and short. `BUILDYARD_TEST_FUZZ=2000` tries that many inputs a test, other ones each time.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TRIES = int(os.environ.get("BUILDYARD_TEST_FUZZ", "200"))
fuzz = settings(
    max_examples=TRIES,
    deadline=None,
    database=None,
    derandomize=TRIES <= 200,
    suppress_health_check=list(HealthCheck),
)

JSON_PIECES = st.lists(
    st.sampled_from([b"{", b"}", b"[", b"]", b'"a"', b":", b",", b"1", b"-", b"1e999", b"NaN", b"null", b"true", b"0.1",
                     b'"\\ud800"', b'"\\u0000"', b" ", b"9" * 30, b'"', b"\\", b"\xff", b"\xef\xbb\xbf"]),
    max_size=25,
).map(b"".join)  # fmt: skip


def check_sentence(error: Exception) -> None:
    """A refusal says something, and not too much."""
    assert str(error)
    assert len(str(error)) < 3000


@st.composite
def mutated(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """A real input with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 20))
        match draw(st.sampled_from(["change", "change", "cut", "double", "put", "end"])):
            case "change":
                new = draw(st.binary(min_size=1, max_size=4) | st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff"]))
                data[at : at + len(new)] = new
            case "cut":
                del data[at : at + length]
            case "double":
                data[at:at] = data[at : at + length * 10]
            case "put":
                data[at:at] = draw(st.binary(max_size=20))
            case _:
                del data[at:]
    return bytes(data)
