from __future__ import annotations

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from buildyard.errors import InvalidRequest
from tests.worker.toolchains.trees import lines, plan, tree, written
from worker.toolchains.contract import FileTree
from worker.toolchains.dotnet import DotnetToolchain

DOTNET = DotnetToolchain()
SWITCHES = "-nologo -nr:false -p:UseSharedCompilation=false -clp:NoSummary -m:4"


def project(body: str = "", *references: str) -> str:
    items = "".join(f'<ProjectReference Include="{reference}" />' for reference in references)
    return f'<Project Sdk="Microsoft.NET.Sdk">{body}<ItemGroup>{items}</ItemGroup></Project>'


PROGRAM = "<PropertyGroup><OutputType>Exe</OutputType></PropertyGroup>"
VSTEST = '<ItemGroup><PackageReference Include="Microsoft.NET.Test.Sdk" Version="17.0.0" /></ItemGroup>'
PROJECTS = {
    "src/Lib/Lib.csproj": project(),
    "src/App/App.csproj": project(PROGRAM, r"..\Lib\Lib.csproj"),
    "tests/Lib.Tests/Lib.Tests.csproj": project(VSTEST, r"..\..\src\Lib\Lib.csproj"),
    "tests/Self.Test/Self.Test.fsproj": project(PROGRAM, r"..\..\src\Lib\Lib.csproj"),
}
SLNX = "<Solution>" + "".join(f'<Project Path="{path}" />' for path in PROJECTS) + "</Solution>"
SLN = "Microsoft Visual Studio Solution File, Format Version 12.00\n" + "".join(
    f'Project("{{FAE04EC0-301F-11D3-BF4B-00C04F79EFBC}}") = "x", "{path}", "{{{number}}}"\nEndProject\n'
    for number, path in enumerate(PROJECTS)
)


def sln(**extra: str) -> FileTree:
    """The solution; a name such as `Directory.Build.props` is passed as `**{name: text}`."""
    return written({"Shop.sln": SLN, **PROJECTS, **extra})


def test_a_solution_is_restored_and_built_as_one() -> None:
    assert lines(plan(DOTNET, StageName.RESTORE, sln())) == [f"/usr/bin/dotnet restore ./Shop.sln {SWITCHES}"]
    build = plan(DOTNET, StageName.BUILD, sln(), BuildProperties(configuration="Debug", target_framework="net8.0"))
    assert lines(build) == [
        f"/usr/bin/dotnet build ./Shop.sln -c Debug --framework net8.0 --no-restore {SWITCHES}",
    ]
    assert build.commands[0].env["DOTNET_CLI_TELEMETRY_OPTOUT"] == "1"


def test_commands_run_in_the_solutions_folder_so_that_its_global_json_counts() -> None:
    source = written({"wrap/Shop.sln": SLN, **{f"wrap/{path}": text for path, text in PROJECTS.items()}})

    assert {command.cwd for command in plan(DOTNET, StageName.BUILD, source).commands} == {"wrap"}


def test_an_sdk_that_cannot_read_the_solution_builds_the_projects_at_its_top() -> None:
    source = written({"Shop.slnx": SLNX, **PROJECTS})

    old = plan(DOTNET, StageName.BUILD, source)
    assert [(command.argv[2], command.cwd) for command in old.commands] == [
        ("./App.csproj", "src/App"),
        ("./Lib.Tests.csproj", "tests/Lib.Tests"),
        ("./Self.Test.fsproj", "tests/Self.Test"),
    ]
    new = plan(DOTNET, StageName.BUILD, source, dotnet="10.0.100")
    assert [command.argv[2] for command in new.commands] == ["./Shop.slnx"]
    unknown = plan(DOTNET, StageName.BUILD, source, dotnet="")
    assert len(unknown.commands) == 3


def test_a_filter_builds_only_what_it_names() -> None:
    slnf = '{"solution": {"path": "Shop.sln", "projects": ["src\\\\App\\\\App.csproj"]}}'

    found = plan(DOTNET, StageName.BUILD, sln(**{"App.slnf": slnf}), BuildProperties(solution_path="App.slnf"))

    assert [command.argv[2] for command in found.commands] == ["./App.csproj"]
    with pytest.raises(InvalidRequest, match=r"narrows Gone.sln, which is not in the source"):
        plan(
            DOTNET,
            StageName.BUILD,
            sln(**{"App.slnf": slnf.replace("Shop", "Gone")}),
            BuildProperties(solution_path="App.slnf"),
        )


def test_tests_run_by_their_kind() -> None:
    vstest, console = plan(DOTNET, StageName.TEST, sln()).commands

    assert " ".join(vstest.argv) == (
        "/usr/bin/dotnet test ./Shop.sln -c Release --no-build --logger trx --results-directory /w/out/reports/Shop"
    )
    assert (vstest.cwd, vstest.tests_fail_on, vstest.test_case) == (".", (1,), "")
    assert " ".join(console.argv) == (
        "/usr/bin/dotnet run --project ./Self.Test.fsproj -c Release --no-build --no-launch-profile"
    )
    assert console.test_case == "Self.Test"
    assert 134 in console.tests_fail_on


def test_without_a_readable_solution_each_test_project_is_tested_by_itself() -> None:
    found = plan(DOTNET, StageName.TEST, written({"Shop.slnx": SLNX, **PROJECTS}))

    assert [(command.argv[1], command.cwd) for command in found.commands] == [
        ("test", "tests/Lib.Tests"),
        ("run", "tests/Self.Test"),
    ]
    assert lines(found)[0].endswith("--results-directory /w/out/reports/tests/Lib.Tests/Lib.Tests")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a/Odd/Odd.csproj", '<Project Sdk="MSTest.Sdk/3.8.0" />'),
        ("a/Odd/Odd.csproj", "<Project><PropertyGroup><IsTestProject>true</IsTestProject></PropertyGroup></Project>"),
        ("test/Odd/Odd.csproj", "<Project />"),
        ("a/Odd.Tester/Odd.csproj", "<Project />"),
    ],
)
def test_tests_may_be_known_to_msbuild_alone(path: str, text: str) -> None:
    source = written({"Shop.slnx": f'<Solution><Project Path="{path}" /></Solution>', path: text})

    assert [command.argv[1] for command in plan(DOTNET, StageName.TEST, source).commands] == ["test"]


def test_the_test_sdk_may_come_from_a_shared_file() -> None:
    shared = {"a/Directory.Build.props": f"<Project>{VSTEST}</Project>", "a/b/Directory.Build.props": "<Project/>"}
    projects = {"a/One.csproj": project(), "a/b/Two.csproj": project()}

    tested = plan(DOTNET, StageName.TEST, written({**shared, **projects})).commands

    assert [command.argv[2] for command in tested] == ["./One.csproj"]


def test_the_testing_platform_of_global_json_changes_the_command() -> None:
    runner = '{"test": {"runner": "Microsoft.Testing.Platform"}}'
    trx = '<PackageReference Include="Microsoft.Testing.Extensions.TrxReport" Version="2.0.0" />'
    extra = {"global.json": runner, "Directory.Build.targets": f"<Project><ItemGroup>{trx}</ItemGroup></Project>"}

    (command,) = plan(DOTNET, StageName.TEST, sln(**extra), dotnet="10.0.100").commands

    assert " ".join(command.argv) == (
        "/usr/bin/dotnet test --solution ./Shop.sln -c Release --no-build "
        "--results-directory /w/out/reports/Shop --report-trx"
    )
    assert command.tests_fail_on == (2,)


def test_without_test_projects_the_stage_is_skipped() -> None:
    assert plan(DOTNET, StageName.TEST, written({"A.csproj": project(PROGRAM)})).skip_reason


def test_programs_that_are_no_tests_are_published_and_packages_only_when_asked_for() -> None:
    assert lines(plan(DOTNET, StageName.PACKAGE, sln())) == [
        f"/usr/bin/dotnet publish ./App.csproj -c Release --no-build -o /w/out/publish/App {SWITCHES}"
    ]
    packing = BuildProperties(create_packages=True, publish_artifacts=False)
    assert lines(plan(DOTNET, StageName.PACKAGE, sln(), packing)) == [
        f"/usr/bin/dotnet pack ./Shop.sln -c Release --no-build {SWITCHES} -p:PackageOutputPath=/w/out/packages"
    ]
    neither = BuildProperties(publish_artifacts=False)
    assert plan(DOTNET, StageName.PACKAGE, sln(), neither).skip_reason


def test_without_programs_the_libraries_at_the_top_are_published() -> None:
    libraries = {"A/A.csproj": project("", r"..\B\B.csproj"), "B/B.csproj": project(), "T/T.csproj": project(VSTEST)}

    published = plan(DOTNET, StageName.PACKAGE, written(libraries)).commands

    assert [command.argv[2] for command in published] == ["./A.csproj"]


def test_programs_of_the_same_name_are_published_apart() -> None:
    source = written({"a/App.csproj": project(PROGRAM), "b/App.csproj": project(PROGRAM)})

    outputs = [
        argv[argv.index("-o") + 1] for argv in (c.argv for c in plan(DOTNET, StageName.PACKAGE, source).commands)
    ]

    assert outputs == ["/w/out/publish/a/App", "/w/out/publish/b/App"]


def test_without_a_readable_solution_each_packable_project_is_packed() -> None:
    packing = BuildProperties(create_packages=True, publish_artifacts=False)
    projects = {
        **PROJECTS,
        "src/App/App.csproj": project("<PropertyGroup><IsPackable>false</IsPackable></PropertyGroup>"),
    }

    packed = plan(DOTNET, StageName.PACKAGE, written({"Shop.slnx": SLNX, **projects}), packing).commands

    assert [command.argv[2] for command in packed] == ["./Lib.csproj"]


def test_a_runtime_identifier_is_for_published_programs_alone() -> None:
    properties = BuildProperties(runtime_identifier="linux-x64")

    assert "linux-x64" not in lines(plan(DOTNET, StageName.BUILD, sln(), properties))[0]
    published = lines(plan(DOTNET, StageName.PACKAGE, sln(), properties))
    assert published == [
        f"/usr/bin/dotnet publish ./App.csproj -c Release -r linux-x64 -o /w/out/publish/App {SWITCHES}"
    ]


def test_each_framework_is_published_into_a_folder_of_its_own() -> None:
    frameworks = "<PropertyGroup><TargetFrameworks>net8.0;net9.0</TargetFrameworks></PropertyGroup>"
    source = written({"App.csproj": project(PROGRAM + frameworks)})

    published = [command.argv for command in plan(DOTNET, StageName.PACKAGE, source).commands]

    assert [argv[argv.index("-o") + 1] for argv in published] == [
        "/w/out/publish/App/net8.0",
        "/w/out/publish/App/net9.0",
    ]
    one = plan(DOTNET, StageName.PACKAGE, source, BuildProperties(target_framework="net9.0"))
    assert lines(one)[0].startswith("/usr/bin/dotnet publish ./App.csproj -c Release --framework net9.0 --no-build -o")


def test_a_platform_of_its_own_reaches_every_command() -> None:
    properties = BuildProperties(platform="x64")
    test, console = plan(DOTNET, StageName.TEST, sln(), properties).commands

    assert lines(plan(DOTNET, StageName.BUILD, sln(), properties))[0].endswith("-p:Platform=x64")
    assert "-p:Platform=x64" in test.argv
    assert console.env["Platform"] == "x64"
    assert "--no-build" not in console.argv


def test_the_values_of_build_properties_are_escaped_for_msbuild() -> None:
    properties = BuildProperties(build_properties={"Note": "a, (b)* 'c' @d $e?", "Version": "1.2.3"})

    command = plan(DOTNET, StageName.BUILD, sln(), properties).commands[0]

    assert command.argv[-2:] == ("-p:Note=a%2C %28b%29%2A %27c%27 %40d %24e%3F", "-p:Version=1.2.3")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../Shop.sln", "leads outside the source"),
        ("/etc/passwd", "is not relative"),
        (r"C:\Shop.sln", "is not relative"),
        ("Gone.sln", "is no solution or project of this source"),
        ("README.md", "is no solution or project of this source"),
        ("a\0b.sln", "is no usable path"),
    ],
)
def test_a_solution_path_stays_inside_the_source(path: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        plan(
            DOTNET,
            StageName.BUILD,
            sln(**{"README.md": "x"}),
            BuildProperties().model_copy(update={"solution_path": path}),
        )
    assert caught.value.field == "solutionPath"


def test_a_solution_path_may_use_backslashes_and_name_a_project() -> None:
    found = plan(DOTNET, StageName.BUILD, sln(), BuildProperties(solution_path=r"src\App\App.csproj"))

    assert [command.argv[2] for command in found.commands] == ["./App.csproj"]


def test_names_that_look_like_switches_stay_names() -> None:
    found = plan(DOTNET, StageName.RESTORE, tree("@-x.sln"))

    assert found.commands[0].argv[2] == "./@-x.sln"


def test_projects_that_need_each_other_are_told_in_words() -> None:
    circle = {"A/A.csproj": project("", "../B/B.csproj"), "B/B.csproj": project("", "../A/A.csproj")}

    with pytest.raises(InvalidRequest, match=r"cannot be put in order: .*A.csproj needs B/B.csproj"):
        plan(DOTNET, StageName.BUILD, written(circle))


def test_broken_projects_that_the_solution_does_not_reach_change_nothing() -> None:
    source = sln(**{"templates/Broken.csproj": "<Project", "src/Lib/Lib.csproj": "no xml at all"})

    assert len(plan(DOTNET, StageName.TEST, source).commands) == 2


def test_lock_files_are_kept_to() -> None:
    source = written({"Shop.sln": SLN, **PROJECTS}, "src/App/packages.lock.json")

    assert "--locked-mode" in plan(DOTNET, StageName.RESTORE, source).commands[0].argv


def test_a_solution_too_long_to_be_read_is_built_with_all_projects_known() -> None:
    source = written(PROJECTS, "Shop.sln")

    assert [command.argv[2] for command in plan(DOTNET, StageName.BUILD, source).commands] == ["./Shop.sln"]
    assert len(plan(DOTNET, StageName.TEST, source).commands) == 2


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Class1.cs(3,5): warning CS0168: The variable is never used [/w/src/a.csproj]", "warning"),
        ("/w/src/a.csproj : warning NU1603: a depends on b", "warning"),
        ("a.cs(50,20): error CS0103: The name 'Meth' does not exist [/w/a.csproj]", "error"),
        ("MSBUILD : error MSB1009: Project file does not exist.", "error"),
        ("error MSB4126: The specified solution configuration is invalid", "error"),
        ("CSC : warning CS2038: The language name is invalid.", "warning"),
        ("    0 Warning(s)", None),
        ("  App -> /w/src/bin/App.dll", None),
        ("Test says: error handling works", None),
    ],
)
def test_msbuild_problems_are_counted_by_their_line(line: str, kind: str | None) -> None:
    assert DOTNET.count_problems(line) == kind
