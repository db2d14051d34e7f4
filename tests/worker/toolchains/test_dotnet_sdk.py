"""What a real SDK makes of the commands, where tables alone prove nothing."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from tests.worker.toolchains.running import EXAMPLES, Ran, build

pytestmark = pytest.mark.journey
SLNX = """<Solution>
  <Folder Name="/src/">
    <Project Path="src\\Parcels\\Parcels.csproj" />
    <Project Path="src/Parcels.Cli/Parcels.Cli.csproj" />
  </Folder>
  <Project Path="tests/Parcels.Tests/Parcels.Tests.csproj" />
</Solution>
"""


def variant(folder: Path, dotnet: str, edit: Callable[[Path], None], properties: BuildProperties) -> Ran:
    return build(spoiled("dotnet-solution", folder, edit), folder / "work", properties, {"dotnet": dotnet})


def spoiled(example: str, folder: Path, edit: Callable[[Path], None]) -> Path:
    """A copy of an example that differs from it."""
    source = folder / "source"
    shutil.copytree(EXAMPLES / example, source)
    edit(source)
    return source


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_an_slnx_and_escaped_properties_work_on_any_sdk(tmp_path: Path, dotnet: str) -> None:
    def as_slnx(source: Path) -> None:
        (source / "Parcels.sln").unlink()
        (source / "Parcels.slnx").write_text(SLNX, encoding="utf-8")

    said = "a, b*c? (d) 'e' @f $g äö"
    properties = BuildProperties(
        configuration="Debug", create_packages=True, publish_artifacts=False, build_properties={"Description": said}
    )

    ran = variant(tmp_path, dotnet, as_slnx, properties)

    assert ran.failed is None, ran.output
    assert ran.tests is not None
    assert ran.tests.passed == 1
    package = tmp_path / "work" / "out" / "packages" / "Buildyard.Examples.Parcels.1.2.0.nupkg"
    assert f"<description>{said}</description>" in zipfile.ZipFile(package).read(
        "Buildyard.Examples.Parcels.nuspec"
    ).decode("utf-8-sig")


def test_a_failing_console_test_is_one_failed_test_and_warnings_count_once(tmp_path: Path, dotnet: str) -> None:
    def spoil(source: Path) -> None:
        replace(source / "src/Parcels/Tariff.cs", "price * (1 + surcharge)", "price")
        replace(
            source / "src/Parcels/Tariff.cs", "private readonly decimal", "private int unused; private readonly decimal"
        )
        replace(source / "Directory.Build.props", "<TreatWarningsAsErrors>true</TreatWarningsAsErrors>", "")

    ran = variant(tmp_path, dotnet, spoil, BuildProperties())

    assert ran.failed is not None
    assert (ran.failed.stage, ran.failed.test_case) == (StageName.TEST, "Parcels.Tests")
    assert ran.exit_code in ran.failed.tests_fail_on
    assert ran.problems[StageName.BUILD] == ["warning"]
    assert ran.tests is not None
    assert "expected 5.40, got 5.00" in ran.tests.failures[0].message


def test_a_compile_error_counts_once_and_fails_the_build_stage(tmp_path: Path, dotnet: str) -> None:
    def spoil(source: Path) -> None:
        replace(source / "src/Parcels/Tariff.cs", "Math.Round", "Meth.Round")

    ran = variant(tmp_path, dotnet, spoil, BuildProperties())

    assert ran.failed is not None
    assert ran.failed.stage is StageName.BUILD
    assert ran.problems[StageName.BUILD] == ["error"]


def test_what_dotnet_test_reports_is_read(tmp_path: Path, dotnet: str) -> None:
    """Without the test SDK's package no test can run; the SDK's own test command then aborts, and reports that."""

    def as_test_project(source: Path) -> None:
        project = source / "tests/Parcels.Tests/Parcels.Tests.csproj"
        replace(
            project, "<OutputType>Exe</OutputType>", "<OutputType>Exe</OutputType><IsTestProject>true</IsTestProject>"
        )

    ran = variant(tmp_path, dotnet, as_test_project, BuildProperties())

    assert ran.failed is not None
    assert ran.failed.title == "dotnet test Parcels.sln"
    assert ran.exit_code in ran.failed.tests_fail_on
    assert ran.tests is not None
    assert [case.name for case in ran.tests.failures] == ["the test run"]
    assert "testhost" in ran.tests.failures[0].message
