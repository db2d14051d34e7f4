"""What a request may set as a build property, and which paths it may name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from buildyard.contracts.builds import BuildProperties
from buildyard.contracts.properties import check_path_in_source, check_property

LOADS_CODE = (
    "CustomBeforeMicrosoftCommonProps", "customafterdirectorybuildprops", "CustomAfterMicrosoftCommonTargets",
    "ForceImportBeforeCppProps", "ImportByWildcardBeforeMicrosoftCommonProps", "DirectoryBuildPropsPath",
    "DirectoryBuildTargetsPath", "DirectoryPackagesPropsPath", "AlternateCommonProps", "LanguageTargets",
    "RoslynTargetsPath", "CSharpCoreTargetsPath", "NuGetRestoreTargets", "NuGetPropsFile", "MSBuildSDKsPath",
    "MSBuildExtensionsPath", "MSBuildProjectExtensionsPath", "MSBuildUserExtensionsPath", "CscToolPath", "CscToolExe",
    "MicrosoftNETBuildTasksAssembly", "PreBuildEvent", "PostBuildEvent", "RunCommand", "RestoreSources",
    "RestoreAdditionalProjectSources", "RestoreConfigFile", "RestorePackagesPath", "NuGetPackageRoot",
    "VSTestTestAdapterPath", "VSTestLogger", "SHELL", "MAKEFLAGS", "MAKEFILES", "CMAKE_TOOLCHAIN_FILE",
    "CMAKE_PROJECT_INCLUDE", "CMAKE_PROJECT_App_INCLUDE_BEFORE", "CMAKE_CXX_COMPILER_LAUNCHER",
)  # fmt: skip
USUAL = {
    "Version": "1.2.3-beta.4", "Deterministic": "true", "TreatWarningsAsErrors": "true", "NoWarn": "CS1591",
    "OutDir": "bin/out", "OutputPath": "../out", "CFLAGS": "-O3 -DX=1", "PREFIX": "/usr/local", "CC": "clang",
    "TARGETS": "linux", "WITH_X": "ON", "CMAKE_INSTALL_SYSCONFDIR": "/etc", "MSBuildTreatWarningsAsErrors": "true",
    "Description": "Über, (b)* 'c' @d $e?", "LangVersion": "latest", "PackageVersion": "1.0", "Nullable": "enable",
    "TargetsForTfmSpecificBuildOutput": "Extra", "RestoreLockedMode": "true", "RunAnalyzers": "false",
}  # fmt: skip


@pytest.mark.parametrize("name", LOADS_CODE)
def test_properties_that_load_files_or_programs_are_refused_in_any_case(name: str) -> None:
    for spelled in (name, name.lower(), name.upper()):
        with pytest.raises(ValueError, match="load other files or programs"):
            check_property(spelled, "x")


@pytest.mark.parametrize("name", USUAL)
def test_usual_properties_are_taken(name: str) -> None:
    check_property(name, USUAL[name])


@pytest.mark.parametrize("value", ["/", "/etc", "\\\\host\\share", "C:\\x", "c:/x", "~/x", "  /x"])
@pytest.mark.parametrize("name", ["OutDir", "outputpath", "BaseIntermediateOutputPath", "PublishDir", "DESTDIR"])
def test_a_folder_outside_the_source_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="must be a path within the source"):
        check_property(name, value)


@pytest.mark.parametrize(
    "path", ["../x", "a/../../b", "a\\..\\b", "/x", "\\x", "C:\\x", "C:x", "~/x", "a\0b", "a\nb", " "]
)
def test_a_solution_path_outside_the_source_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="within the source"):
        BuildProperties(solution_path=path)


@pytest.mark.parametrize("path", ["App.sln", "src\\App\\App.csproj", "./src/..hidden/App.sln", "Größe/Ä b.slnx"])
def test_a_solution_path_inside_the_source_is_taken(path: str) -> None:
    assert BuildProperties(solution_path=path).solution_path == path


@given(st.text(max_size=30), st.text(max_size=60))
def test_a_property_that_is_taken_is_one_plain_argument(name: str, value: str) -> None:
    try:
        check_property(name, value)
    except ValueError:
        return
    assert name.isascii()
    assert not set(value) & set(';"%\n\r\0')


@given(st.text("./\\:~aC\0 ", max_size=12))
def test_a_path_that_is_taken_never_climbs(path: str) -> None:
    try:
        check_path_in_source(path)
    except ValueError:
        return
    assert ".." not in path.replace("\\", "/").split("/")
    assert not path.startswith(("/", "\\", "~"))
