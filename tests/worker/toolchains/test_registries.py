"""Real projects, each with one dependency from its registry, with the real tools of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from tests.servers import need
from tests.worker.toolchains.running import EXAMPLES, build
from tests.worker.toolchains.test_dotnet_sdk import replace, spoiled

pytestmark = pytest.mark.journey


def test_the_cargo_example_becomes_a_program_and_a_crate(tmp_path: Path) -> None:
    tools = {"cargo": need("cargo")}

    ran = build(EXAMPLES / "cargo-project", tmp_path / "work", BuildProperties(create_packages=True), tools)

    assert ran.failed is None, ran.output
    assert ran.choice.why == "cargo, because Cargo.toml is at the top."
    assert ran.tests is not None
    assert (ran.tests.passed, ran.tests.failed, ran.tests.skipped) == (5, 0, 1)
    assert ran.problems[StageName.BUILD] == ran.problems[StageName.TEST] == [], ran.output
    assert ran.problems[StageName.PACKAGE] == ["warning"], "cargo misses the address of a home page, as it should"
    assert ran.artifacts == ["target/package/roman-0.2.0.crate", "target/release/roman"]
    program = tmp_path / "work" / "out" / "target" / "release" / "roman"
    assert subprocess.run([program, "1999", "MMXXIV"], capture_output=True, check=True).stdout == b"MCMXCIX\n2024\n"


def test_a_failing_rust_test_is_named_with_its_message_and_place(tmp_path: Path) -> None:
    def spoil(source: Path) -> None:
        replace(source / "src/lib.rs", '(4, "IV")', '(4, "IIII")')
        replace(source / "src/lib.rs", "let (mut rest, mut text)", "let unused = 1;\n    let (mut rest, mut text)")

    ran = build(
        spoiled("cargo-project", tmp_path, spoil), tmp_path / "work", BuildProperties(), {"cargo": need("cargo")}
    )

    assert ran.failed is not None
    assert (ran.failed.stage, ran.exit_code) == (StageName.TEST, 101)
    assert ran.problems[StageName.BUILD] == ["warning"]
    assert ran.tests is not None
    assert (ran.tests.passed, ran.tests.skipped) == (3, 1)
    first, *others = ran.tests.failures
    assert (first.name, first.suite, first.place) == ("tests::small_numbers_are_written", "roman", "src/lib.rs:54")
    assert first.message.startswith('assertion `left == right` failed: four\n  left: Some("IIII")')
    assert [case.name for case in others] == ["src/lib.rs - write (line 10)"]


def test_a_failing_java_test_is_named_with_its_message_and_place(tmp_path: Path) -> None:
    def spoil(source: Path) -> None:
        replace(source / "src/main/java/intervals/Interval.java", "last.to + 1", "last.to")

    tools = {"mvn": need("mvn"), "java": need("java")}

    ran = build(spoiled("maven-project", tmp_path, spoil), tmp_path / "work", BuildProperties(), tools)

    assert ran.failed is not None
    assert (ran.failed.stage, ran.exit_code) == (StageName.TEST, 1)
    assert ran.problems[StageName.TEST] == ["error"]
    assert ran.tests is not None
    (case,) = ran.tests.failures
    assert (case.name, case.suite) == ("neighboursAreMerged", "intervals.IntervalTest")
    assert case.place == "IntervalTest.java:13"
    assert "expected:" in case.message


def test_a_failing_test_of_gradle_is_named_beside_those_that_passed(tmp_path: Path) -> None:
    def spoil(source: Path) -> None:
        replace(source / "src/main/java/checkdigit/Luhn.java", "(10 - sum % 10)", "(9 - sum % 10)")

    tools = {"gradle": need("gradle"), "java": need("java")}

    ran = build(spoiled("gradle-project", tmp_path, spoil), tmp_path / "work", BuildProperties(), tools)

    assert ran.artifacts == ["build/libs/checkdigit-1.1.0.jar"]
    assert ran.failed is not None
    assert (ran.failed.stage, ran.exit_code) == (StageName.TEST, 1)
    assert ran.problems[StageName.TEST] == ["error"]
    assert ran.results is not None
    failed = {case.name: case for case in ran.results.cases if case.status == "failed"}
    assert failed["everySingleWrongDigitIsFound"].place == "LuhnTest.java:26"
    assert "expected:" in failed["everySingleWrongDigitIsFound"].message
    assert {case.suite for case in failed.values()} == {"checkdigit.LuhnTest"}
    passed = {case.name for case in ran.results.cases if case.status == "passed"}
    assert passed == {"anythingButDigitsIsRefused"}
