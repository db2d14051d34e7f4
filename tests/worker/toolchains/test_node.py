from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.builds import BuildProperties, StageName
from buildyard.errors import InvalidRequest
from tests.worker.toolchains.trees import context, line, lines, plan, written
from worker.toolchains.contract import Command, FileTree
from worker.toolchains.node import NodeToolchain
from worker.toolchains.package_json import read_package_json

NODE = NodeToolchain()


def source(*paths: str, test: str = "", build: str = "", private: bool = False) -> FileTree:
    document = {"name": "x", "version": "1.0.0", "private": private, "scripts": {"test": test, "build": build}}
    return written({"package.json": json.dumps(document)}, *paths)


def _command(script: str, node: str = "20.1.0") -> Command:
    found = replace(context(NODE, source(test=script)), tool_versions={"node": node})
    return NODE.plan(StageName.TEST, found).commands[0]


@pytest.mark.parametrize(
    ("files", "install", "pack"),
    [
        (("package-lock.json",), "npm ci", "npm pack --pack-destination /w/out"),
        (("npm-shrinkwrap.json",), "npm ci", "npm pack --pack-destination /w/out"),
        ((), "npm install --no-package-lock", "npm pack --pack-destination /w/out"),
        (("pnpm-lock.yaml",), "pnpm install --frozen-lockfile", "pnpm pack --pack-destination /w/out"),
        (("yarn.lock",), "yarn install --frozen-lockfile", "yarn pack --filename /w/out/package.tgz"),
        (("yarn.lock", ".yarnrc.yml"), "yarn install --immutable", "yarn pack --out /w/out/package.tgz"),
    ],
)
def test_the_lock_file_names_the_package_manager(files: tuple[str, ...], install: str, pack: str) -> None:
    assert lines(plan(NODE, StageName.RESTORE, source(*files))) == [install]
    assert lines(plan(NODE, StageName.PACKAGE, source(*files))) == [pack]


def test_a_project_needs_the_package_manager_of_its_lock_file() -> None:
    for files, needs in {(): ("node", "npm"), ("pnpm-lock.yaml",): ("node", "pnpm")}.items():
        detection = NODE.detect(source(*files))
        assert detection is not None
        assert detection.needs == needs


def test_scripts_that_are_missing_are_skipped_with_their_reason() -> None:
    bare, default = source(), source(test='echo "Error: no test specified" && exit 1')

    assert plan(NODE, StageName.BUILD, bare).skip_reason == "package.json has no build script."
    assert plan(NODE, StageName.TEST, bare).skip_reason == "package.json has no test script."
    assert plan(NODE, StageName.TEST, default).skip_reason == "package.json has no test script."
    assert lines(plan(NODE, StageName.BUILD, source(build="tsc"))) == ["npm run build"]


def test_private_and_nameless_packages_are_packed_only_when_that_can_be_wanted() -> None:
    packing, nothing = BuildProperties(create_packages=True), BuildProperties(publish_artifacts=False)
    nameless = written({"package.json": "{}"})

    assert "says private" in plan(NODE, StageName.PACKAGE, source(private=True)).skip_reason
    assert lines(plan(NODE, StageName.PACKAGE, source(private=True), packing))
    assert plan(NODE, StageName.PACKAGE, source(), nothing).skip_reason == "The request asks for none."
    assert "lacks the name" in plan(NODE, StageName.PACKAGE, nameless).skip_reason


def test_nodes_own_runner_writes_junit_and_text() -> None:
    command = _command("node --test test/*.js")

    assert line(command) == "npm test"
    assert command.env["NODE_OPTIONS"] == (
        "--test-reporter=spec --test-reporter-destination=stdout "
        '--test-reporter=junit "--test-reporter-destination=/w/out/node-tests.xml"'
    )
    assert (command.test_case, command.prints, command.tests_fail_on) == ("", None, (1,))


@pytest.mark.parametrize(
    ("script", "node"),
    [
        ("node --test", "18.19.0"),
        ("node --test", ""),
        ("node --test --test-reporter=tap", "22.0.0"),
        ("node --test && echo done", "22.0.0"),
        ("tape test/*.js", "22.0.0"),
        ("node --testy", "22.0.0"),
    ],
)
def test_other_runners_tell_by_tap_by_junit_files_or_by_their_exit_code(script: str, node: str) -> None:
    command = _command(script, node)

    assert "NODE_OPTIONS" not in command.env
    assert (command.test_case, command.prints) == ("npm test", "tap")
    assert [glob.pattern for glob in NODE.test_reports(context(NODE, source("reports/old.xml")))] == [
        "node-tests.xml",
        "junit.xml",
        "test-results/**/*.xml",
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("npm warn deprecated x@1.0.0: no longer kept", "warning"),
        ("npm error code E404", "error"),
        ("npm ERR! code ERESOLVE", "error"),
        ("npm error A complete log of this run can be found in: x", None),
        ("src/a.ts(3,5): error TS2322: Type 'x'", "error"),
        ("src/a.ts:3:5 - error TS2322: Type 'x'", "error"),
        ("(node:12) [DEP0040] DeprecationWarning: The `punycode` module", "warning"),
        ("TypeError [ERR_X]: x", "error"),
        ("  AssertionError [ERR_ASSERTION]: 1 !== 2", None),
        ("> shop@1.0.0 build", None),
    ],
)
def test_problems_are_counted_by_their_line(text: str, kind: str | None) -> None:
    assert NODE.count_problems(text) == kind


@pytest.mark.parametrize("text", ["{", "[]", "1", "[" * 200_000, '{"a": ' + "9" * 5000 + "}", "\x00"])
def test_a_package_json_that_cannot_be_read_is_a_sentence(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^package\.json is .*\.$"):
        read_package_json("package.json", text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just("node --test"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["scripts", "test", "build", "name", "version", "private"]), inner)
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(_JSON)
def test_no_package_json_crashes_the_plans(document: object) -> None:
    found = written({"package.json": json.dumps(document)})
    for stage in (StageName.RESTORE, StageName.BUILD, StageName.TEST, StageName.PACKAGE):
        try:
            made = plan(NODE, stage, found)
        except InvalidRequest:
            assert not isinstance(document, dict)
        else:
            assert bool(made.commands) != bool(made.skip_reason)


@pytest.mark.parametrize("part", [" --test", "node ", " ", "-", "a:1:1 - "])
def test_hostile_scripts_and_lines_are_read_in_no_time(part: str) -> None:
    text = "node --test" + part * (200_000 // len(part)) + "|"
    started = time.process_time()

    assert not read_package_json("package.json", json.dumps({"scripts": {"test": text}})).tests_by_node
    NODE.count_problems(text)

    assert time.process_time() - started < 2
