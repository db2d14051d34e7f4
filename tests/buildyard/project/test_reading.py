"""What is wrong in a `buildyard.toml` is told with its line, its column and what may stand there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import StageName
from buildyard.errors import InvalidRequest
from buildyard.project.reading import read_buildyard_toml, read_project_file

SOUND = {
    "[artifacts]": 'paths = ["dist/*", "out"]',
    "[stages.build]": 'commands = [["make"]]\nneeds = ["generate"]\ntimeout_minutes = 5',
    "[stages.test]": "skip = true",
    "[tasks.generate]": 'commands = [["python3", "generate.py"]]',
    "[environment]": 'LOG_LEVEL = "debug"',
    "[batch]": 'rows = "data.csv"\nrun = ["python3", "handle.py"]',
}
UNKNOWN_WORDS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12).map(lambda word: f"x{word}")


def refusal(text: str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read_buildyard_toml(text)
    return str(caught.value)


@st.composite
def with_a_mistake(draw: st.DrawFn) -> tuple[str, str, int, int, str]:
    """A sound file with one line too many: text, path, line and column of the mistake, and a word of its sentence."""
    headers = draw(st.permutations(list(SOUND)))
    spoilt = draw(st.sampled_from([header for header in headers if header != "[environment]"]))
    word, margin = draw(UNKNOWN_WORDS), draw(st.sampled_from(["", " ", "\t", "    "]))
    text, line = "", 0
    for header in headers:
        text += draw(st.sampled_from(["", "\n", "# a comment = [\n", "\n\n"])) + f"{header}\n{SOUND[header]}\n"
        if header == spoilt:
            quoted = draw(st.sampled_from([word, f'"{word}"', f"'{word}'"]))
            line = text.count("\n") + 1
            text += f"{margin}{quoted} = 1\n"
    return text, f"{spoilt.strip('[]')}.{word}", line, len(margin) + 1, "is unknown; allowed here: "


@given(with_a_mistake())
def test_an_unknown_key_is_told_with_its_place(mistake: tuple[str, str, int, int, str]) -> None:
    text, path, line, column, words = mistake

    assert refusal(text).startswith(f"buildyard.toml:{line}:{column}: {path} {words}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("shell = 1", "1:1: shell is unknown; allowed here: artifacts, batch, call, environment, "),
        ("\n[secrets]\na = 1", "2:2: secrets is unknown; allowed here: artifacts, "),
        ("[stages.fetch]\nskip = true", "1:9: stages.fetch is unknown; allowed here: build, package, restore, test."),
        (
            "stages.build.x = 1",
            "1:14: stages.build.x is unknown; allowed here: commands, needs, skip, timeout_minutes.",
        ),
        ("artifacts = {paths = [], x = 1}", "1:26: artifacts.x is unknown; allowed here: paths."),
        ("[call]\nrows = 'a'\nbreaker.x = 1", "3:9: call.breaker.x is unknown; allowed here: calls, cool_down_seconds"),
        ("[stages.test]\nskip = 'yes'", "2:8: stages.test.skip must be true or false: whether the stage is left out."),
        ("[stages]\ntest = 3", "2:8: stages.test must be a table: "),
        ("artifacts.paths = 'dist'", "1:19: artifacts.paths must be a list: files or folders"),
        ("[environment]\nA = 1", "2:5: environment.A must be a text."),
        ("[call]\nrows = 'a'\nconcurrency = '8'", "3:15: call.concurrency must be a whole number: "),
        ("[call]\nrows = 'a'\nconcurrency = 65", "3:15: call.concurrency must be at most 64."),
        ("[call]\nrows = 'a'\nread_seconds = nan", "3:16: call.read_seconds must be "),
        ("[batch]\nrows = 'a'", "1:2: batch.run is missing: a command is the list of its words"),
        ("[tasks.a]\nneeds = []", "1:8: tasks.a.commands is missing: lists of words"),
        ("[batch]\nrows = 'a'\nrun = ['x']\n[call]\nrows = 'b'", "4:2: call: [batch] and [call] cannot both"),
        ("[call]\nrows = 'a'\nheaders = {A = 'x', a = 'y'}", "3:21: call.headers.a: this header is named twice."),
        ("[call]\nrows = 'a'\n[call.breaker]\nfailures = 21", "4:12: call.breaker.failures: failures cannot be more"),
        ("toolchain = 'Py!'", "1:13: toolchain must fit ^[a-z]"),
        ("x = 1\ny = ", "2:5: it is not TOML: "),
        ("a = 1\na = 2", "2:6: it is not TOML: "),
        ("[stages.build]\ntimeout_minutes = 0", "2:19: stages.build.timeout_minutes must be above 0."),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_may_stand_there(text: str, sentence: str) -> None:
    assert refusal(text).startswith(f"buildyard.toml:{sentence}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("commands = ['make; rm -rf /']", "2:13: stages.build.commands.0 must be a list: a command is the list of its"),
        ("commands = [['make; rm -rf /']]", "2:13: stages.build.commands.0: 'make; rm -rf /' is no program"),
        ("commands = [['make'], ['$(id)']]", "2:23: stages.build.commands.1: '$(id)' is no program"),
        ("commands = [['`id`']]", "2:13: stages.build.commands.0: '`id`' is no program"),
        ('commands = [["a\\nb"]]', "2:13: stages.build.commands.0: 'a\\nb' is no program"),
        ("commands = [['']]", "2:13: stages.build.commands.0: '' is no program"),
        ("commands = [['--help']]", "2:13: stages.build.commands.0: '--help' is no program"),
        ('commands = [["a", "b\\u0000c"]]', "2:19: stages.build.commands.0.1: an argument holds a NUL character."),
    ],
)
def test_a_try_to_inject_a_command_is_refused_with_its_place(text: str, sentence: str) -> None:
    # list values begin at their own bracket
    told = refusal(f"[stages.build]\n{text}\n")

    assert told.startswith(f"buildyard.toml:{sentence}"), told


@st.composite
def circles(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Tasks of which some need each other in a circle, among others that do not; the text and the circle's names."""
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True))
    size = draw(st.integers(1, len(names)))
    circle, others = names[:size], names[size:]
    needs = {name: [circle[(number + 1) % size]] for number, name in enumerate(circle)}
    needs |= {name: draw(st.lists(st.sampled_from(circle), max_size=2, unique=True)) for name in others}
    text = "".join(
        f"[tasks.{name}]\ncommands = [['true']]\nneeds = {needs[name]!r}\n" for name in draw(st.permutations(names))
    )
    return text, circle


@given(circles())
def test_needs_that_go_in_a_circle_are_refused_at_one_of_them(drawn: tuple[str, list[str]]) -> None:
    text, circle = drawn

    told = refusal(text)

    place, sentence = told.removeprefix("buildyard.toml:").split(": ", 1)
    line, column = (int(part) for part in place.split(":"))
    owner, _, rest = sentence.removeprefix("tasks.").partition(".needs.0: the needs go in a circle: ")
    way = rest.rstrip(".").split(" needs ")
    assert owner == way[0] == way[-1]
    assert set(way) == set(circle)
    assert text.split("\n")[line - 3] == f"[tasks.{owner}]"
    assert text.split("\n")[line - 1][column - 1 :].startswith(repr(way[1]))


def test_an_unknown_task_is_refused_with_those_there_are() -> None:
    told = refusal("[tasks.a]\ncommands = [['true']]\n[stages.test]\nneeds = ['a', 'z']\n")

    assert told == "buildyard.toml:4:15: stages.test.needs.1: the task 'z' is unknown; there is a."


def test_tasks_come_in_the_order_of_their_needs() -> None:
    text = "".join(
        f"[tasks.{name}]\ncommands = [['true']]\nneeds = {needs}\n"
        for name, needs in {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": [], "e": []}.items()
    )
    config = read_buildyard_toml(f"{text}[stages.build]\nneeds = ['a']\n")

    before = config.tasks_before(StageName.BUILD)

    assert set(before) == {"a", "b", "c", "d"}
    assert before[0] == "d"
    assert before[-1] == "a"
    assert config.tasks_before(StageName.TEST) == ()


def test_bytes_that_are_no_text_are_told_with_their_line() -> None:
    with pytest.raises(InvalidRequest, match=r"buildyard.toml:2: it is not UTF-8"):
        read_project_file(b"a = 1\nb = '\xff'\n")
    with pytest.raises(InvalidRequest, match=r"larger than 262,144 bytes"):
        read_project_file(b"#" * (256 * 1024 + 1))
    assert read_project_file(b"\xef\xbb\xbftoolchain = 'make'\n").toolchain == "make"
