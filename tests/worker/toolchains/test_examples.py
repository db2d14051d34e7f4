"""Every example goes through the stages with the real tools of this machine."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from buildyard.project.reading import read_buildyard_toml
from tests.servers import need
from tests.worker.toolchains.running import EXAMPLES, build
from worker.batch.builtin import handle_row

pytestmark = pytest.mark.journey


def test_the_python_example_becomes_a_wheel_and_an_sdist(tmp_path: Path) -> None:
    ran = build(EXAMPLES / "python-project", tmp_path / "work", BuildProperties())

    assert ran.failed is None, ran.output
    assert ran.choice.toolchain.name == "python"
    assert ran.artifacts == ["dist/humanunits-0.3.0-py3-none-any.whl", "dist/humanunits-0.3.0.tar.gz"]
    assert ran.tests is not None
    assert (ran.tests.total, ran.tests.failed) == (39, 0)
    assert ran.skipped.keys() == {StageName.PACKAGE}
    assert not any(ran.problems.values()), ran.output
    with zipfile.ZipFile(tmp_path / "work" / "out" / ran.artifacts[0]) as wheel:
        assert "humanunits/sizes.py" in wheel.namelist()


def test_the_make_example_is_built_tested_packed_and_installed(tmp_path: Path) -> None:
    tools = {"make": need("make"), "cc": need("cc")}

    ran = build(EXAMPLES / "c-project", tmp_path / "work", BuildProperties(), tools)

    assert ran.failed is None, ran.output
    assert ran.choice.why == "make, because Makefile is at the top."
    assert ran.tests is not None
    assert (ran.tests.total, ran.tests.passed) == (1, 1)
    assert "all checks passed" in ran.output[StageName.TEST]
    assert "install/usr/local/bin/wordstat" in ran.artifacts
    assert not any(ran.problems.values()), ran.output
    with tarfile.open(tmp_path / "work" / "src" / "dist" / "wordstat-1.1.0.tar.gz") as archive:
        assert "wordstat-1.1.0/wordstat" in archive.getnames()


def test_the_cmake_example_is_built_tested_packed_and_installed(tmp_path: Path) -> None:
    tools = {"cmake": need("cmake"), "cc": need("cc")}

    ran = build(EXAMPLES / "c-cmake", tmp_path / "work", BuildProperties(create_packages=True), tools)

    assert ran.failed is None, ran.output
    assert ran.tests is not None
    assert (ran.tests.total, ran.tests.passed) == (5, 5)
    assert "install/usr/local/bin/varint-tool" in ran.artifacts
    assert "packages/varint-1.0.2-Linux.tar.gz" in ran.artifacts
    assert not any(ran.problems.values()), ran.output


def test_the_dotnet_example_is_built_tested_packed_and_published(tmp_path: Path) -> None:
    tools = {"dotnet": need("dotnet")}

    ran = build(EXAMPLES / "dotnet-solution", tmp_path / "work", BuildProperties(create_packages=True), tools)

    assert ran.failed is None, ran.output
    assert ran.choice.why == "dotnet, because Parcels.sln is at the top."
    assert ran.tests is not None
    assert (ran.tests.total, ran.tests.passed) == (1, 1)
    assert "6 of 6 checks passed" in ran.output[StageName.TEST]
    assert "packages/Buildyard.Examples.Parcels.1.2.0.nupkg" in ran.artifacts
    assert not any("Parcels.Tests" in path for path in ran.artifacts)
    assert not any(ran.problems.values()), ran.output
    program = tmp_path / "work" / "out" / "publish" / "Parcels.Cli" / "Parcels.Cli.dll"
    priced = subprocess.run([tools["dotnet"], program, "2", "20", "20", "20", "world"], capture_output=True, check=True)
    assert priced.stdout == b"18.70\n"


def test_rows_are_the_same_for_the_same_seed_and_pass_every_check() -> None:
    def rows(*options: str) -> list[dict[str, str]]:
        argv = [sys.executable, str(EXAMPLES / "generate_data.py"), "--rows", "50", *options]
        text = subprocess.run(argv, capture_output=True, check=True).stdout.decode()
        return list(csv.DictReader(io.StringIO(text)))

    made = rows("--seed", "3")

    assert made == rows("--seed", "3") != rows("--seed", "4")
    results = [handle_row(number, row) for number, row in enumerate(made, start=1)]
    assert all(result.ok and result.result["issues"] == [] for result in results)
    slow = rows("--seed", "3", "--work-ms", "20", "--fail-every", "10")
    assert all(10 <= int(row["work_ms"]) <= 30 for row in slow)
    assert [number for number, row in enumerate(slow, start=1) if row["fail"]] == [10, 20, 30, 40, 50]


def test_a_csv_can_be_as_large_as_one_likes_and_ends_with_a_whole_row() -> None:
    argv = [sys.executable, str(EXAMPLES / "generate_data.py"), "--mebibytes", "0.25"]
    text = subprocess.run(argv, capture_output=True, check=True).stdout

    assert 0.249 * 2**20 < len(text) <= 0.25 * 2**20
    assert text.endswith(b"\n")
    assert len({len(row) for row in csv.reader(io.StringIO(text.decode()))}) == 1


def test_the_batch_program_answers_each_row_with_one_line() -> None:
    folder = EXAMPLES / "batch-program"
    batch = read_buildyard_toml((folder / "buildyard.toml").read_text(encoding="utf-8")).batch
    assert batch is not None
    with (folder / batch.rows).open(encoding="utf-8", newline="") as file:
        rows = [{**values, "row": number} for number, values in enumerate(csv.DictReader(file), start=1)]
    lines = "".join(json.dumps(row) + "\n" for row in [*rows, {**rows[0], "row": 26, "amount": "much"}])

    argv = [sys.executable, *batch.run[1:]]
    done = subprocess.run(argv, cwd=folder, input=lines.encode(), capture_output=True, check=True)

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 26
    assert answers[0] == {
        "order_id": "A07-000001",
        "name": "Kenji Çelik",
        "net": "34.90",
        "tax": "0.00",
        "gross": "34.90",
    }
    assert answers[-1] == {"error": "row 26: the amount 'much' is no number"}


def test_no_example_names_a_package_registry() -> None:
    for path in EXAMPLES.rglob("*"):
        if path.is_file() and path.suffix in {
            ".toml",
            ".config",
            ".props",
            ".csproj",
            ".cfg",
            ".json",
            ".mod",
            ".gradle",
        }:
            text = path.read_text(encoding="utf-8-sig")
            assert "http" not in text, path
    assert tomllib.loads((EXAMPLES / "python-project" / "pyproject.toml").read_text(encoding="utf-8"))
