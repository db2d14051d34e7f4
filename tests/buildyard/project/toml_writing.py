"""TOML texts written in many ways, with the place of each key and value known from the writing itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from buildyard.project.toml_places import Path, Place

WORDS = st.sampled_from(["a", "b-1", "stages", "Ünder", "a b", 'q"x', "dot.ted", "", "#", "[x]", "line\nbreak", "3"])
SCALARS = st.one_of(
    st.sampled_from(
        ["1", "0x1F", "3.5e2", "inf", "true", "1979-05-27 07:32:00", "07:32:00", '""', "''", '"#no"', "'a, ]}'"]
    ),
    st.sampled_from(['"""\nx ] "" # \\""""', "'''\n[[ ''x'''", '""""q"""', '"\\u00e9\\\\"', '"a\\"b"']),
)
BLANKS = st.sampled_from(["", " ", "\t", "  "])
GAPS = st.sampled_from(["", " ", "\n", " # [c] = '\n", "\n\n\t"])


@dataclass
class Written:
    """A text in the making."""

    draw: st.DrawFn
    text: str = ""
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)

    def place(self) -> Place:
        """Where the next character will stand."""
        return Place(self.text.count("\n") + 1, len(self.text) - (self.text.rfind("\n") + 1) + 1)

    def key(self, path: Path) -> None:
        """The last name of a path."""
        name = str(path[-1])
        self.keys.setdefault(path, self.place())
        bare = name.replace("-", "").isascii() and name.replace("-", "").isalnum()
        forms = [json.dumps(name)] + ([name] if bare else []) + ([f"'{name}'"] if name.isprintable() else [])
        self.text += self.draw(st.sampled_from(forms))

    def value(self, path: Path, value: Any) -> None:
        """Any value; texts are TOML already."""
        self.values[path] = self.place()
        if isinstance(value, list):
            self._list(path, value)
        elif isinstance(value, dict):
            self._inline(path, value)
        else:
            self.text += value

    def pair(self, path: Path, value: Any) -> None:
        """`key = value`."""
        self.key(path)
        self.text += f"{self.draw(BLANKS)}={self.draw(BLANKS)}"
        self.value(path, value)

    def header(self, path: Path) -> None:
        """`[a.b]`."""
        self.text += f"[{self.draw(BLANKS)}"
        for length in range(1, len(path) + 1):
            self.key(path[:length])
            self.text += self.draw(BLANKS) + ("." if length < len(path) else "]")
            self.text += self.draw(BLANKS) if length < len(path) else ""

    def _list(self, path: Path, values: list[Any]) -> None:
        self.text += "["
        for number, value in enumerate(values):
            self.text += self.draw(GAPS)
            self.value((*path, number), value)
            self.text += self.draw(GAPS) + ("," if number < len(values) - 1 or self.draw(st.booleans()) else "")
        self.text += self.draw(GAPS) + "]"

    def _inline(self, path: Path, values: dict[str, Any]) -> None:
        self.text += "{"
        for number, (name, value) in enumerate(values.items()):
            self.text += self.draw(BLANKS)
            self.pair((*path, name), value)
            self.text += self.draw(BLANKS) + ("," if number < len(values) - 1 else "")
        self.text += "}"


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def documents(draw: st.DrawFn) -> Written:
    """A whole document: some pairs, then tables with headers."""
    made = Written(draw)
    for name, value in draw(st.dictionaries(WORDS, VALUES, max_size=3)).items():
        made.text += draw(GAPS) + draw(BLANKS)
        made.pair((name,), value)
        made.text += draw(BLANKS) + "\n"
    outer = draw(st.lists(WORDS.map(lambda word: f"T{word}"), unique=True, max_size=3))
    for name in outer:
        path: Path = (name, draw(WORDS)) if draw(st.booleans()) else (name,)
        made.text += draw(GAPS)
        made.header(path)
        made.text += " # of a table\n"
        for inner, value in draw(st.dictionaries(WORDS, VALUES, max_size=3)).items():
            made.text += draw(BLANKS)
            made.pair((*path, inner), value)
            made.text += "\n"
    return made
