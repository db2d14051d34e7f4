from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.dotnet.project import Package, ProjectFacts, Reference, read_project
from buildyard.errors import InvalidRequest

PROJECT = """\ufeff<?xml version="1.0" encoding="utf-8"?>
<Project Sdk="Microsoft.NET.Sdk;Other.Sdk/1.2">
  <Sdk Name="Third.Sdk" Version="2" />
  <Import Project="..\\common.props" />
  <PropertyGroup>
    <TargetFrameworks>net8.0; net9.0</TargetFrameworks>
    <OutputType>Library</OutputType>
    <outputtype>Exe</outputtype>
    <IsPackable>true</IsPackable>
    <IsTestProject Condition="'$(X)' == ''">true</IsTestProject>
    <Version>$(Major).0</Version>
  </PropertyGroup>
  <PropertyGroup Condition="'$(OS)' == 'Windows_NT'">
    <IsPackable>false</IsPackable>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="xunit" Version="[2.9.0]" />
    <PackageReference Include="Central;Other" />
    <PackageReference Include="Child"><Version>3.*</Version></PackageReference>
    <ProjectReference Include="..\\Lib\\Lib.csproj; ../Other/Other.fsproj" />
    <ProjectReference Include="$(Root)\\Deep.csproj" Condition="'$(X)' == 'y'" />
    <ProjectReference Include="**\\*.*proj" />
    <ProjectReference Include="@(Found->'%(Path)')" />
    <ProjectReference Include="..\\..\\..\\etc\\passwd" />
    <ProjectReference Remove="x.csproj" />
  </ItemGroup>
  <Choose>
    <When Condition="!$(DefineConstants.Contains('OSS'))">
      <ItemGroup><ProjectReference Include="..\\Paid\\Paid.csproj" /></ItemGroup>
    </When>
    <Otherwise><PropertyGroup><Free>true</Free></PropertyGroup></Otherwise>
  </Choose>
  <Target Name="Late">
    <ItemGroup><ProjectReference Include="late.csproj" /></ItemGroup>
    <PropertyGroup><OutputType>WinExe</OutputType></PropertyGroup>
  </Target>
</Project>
"""
FACTS = read_project("src/App/App.csproj", PROJECT)


def test_sdks_are_found_in_all_their_places() -> None:
    explicit = (
        '<Project><Import Project="Sdk.props" Sdk="My.Sdk" /><Import Project="Sdk.targets" Sdk="My.Sdk" /></Project>'
    )

    assert FACTS.sdks == ("Microsoft.NET.Sdk", "Other.Sdk/1.2", "Third.Sdk")
    assert read_project("a.csproj", explicit).sdks == ("My.Sdk", "My.Sdk")


def test_the_last_unconditional_value_of_a_property_counts_whatever_its_case() -> None:
    assert FACTS.target_frameworks == ("net8.0", "net9.0")
    assert FACTS.value("outputType") == "Exe"
    assert FACTS.is_program
    assert FACTS.flag("IsPackable") is True
    assert FACTS.flag("IsTestProject") is None
    assert FACTS.value("Free") is None


def test_a_value_that_needs_an_evaluation_is_unknown() -> None:
    assert FACTS.value("Version") is None
    assert read_project("a.csproj", "<Project/>").target_frameworks == ()


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ('<Project Sdk="Microsoft.NET.Sdk" />', False),
        ('<Project Sdk="Microsoft.NET.Sdk.Web" />', True),
        ('<Project Sdk="Microsoft.NET.Sdk.Worker/9.0.0" />', True),
        (
            '<Project Sdk="Microsoft.NET.Sdk.Web"><PropertyGroup><OutputType>a</OutputType></PropertyGroup></Project>',
            False,
        ),
        ("<Project><PropertyGroup><OutputType>WinExe</OutputType></PropertyGroup></Project>", True),
    ],
)
def test_a_program_is_told_by_its_output_or_its_sdk(text: str, *, program: bool) -> None:
    assert read_project("a.csproj", text).is_program is program


def test_packages_are_read_with_versions_as_written() -> None:
    assert FACTS.packages == (
        Package("xunit", "[2.9.0]", conditional=False),
        Package("Central", "", conditional=False),
        Package("Other", "", conditional=False),
        Package("Child", "3.*", conditional=False),
    )
    assert FACTS.refers_to_package("XUNIT")


def test_references_are_resolved_where_text_alone_can_tell() -> None:
    assert [(reference.path, reference.conditional) for reference in FACTS.references] == [
        ("src/Lib/Lib.csproj", False),
        ("src/Other/Other.fsproj", False),
        (None, True),
        (None, False),
        (None, False),
        (None, False),
        ("src/Paid/Paid.csproj", True),
    ]
    assert Reference("..\\Lib\\Lib.csproj", "src/Lib/Lib.csproj", conditional=False) in FACTS.references


def test_what_only_an_evaluation_could_tell_is_listed() -> None:
    assert FACTS.unknown == (
        "it imports other files",
        "a project reference needs an evaluation",
        "a project reference leads outside the source",
        "it removes project references",
    )
    assert FACTS.imports == ("..\\common.props",)


def test_old_projects_with_a_namespace_are_read() -> None:
    text = (
        '<Project ToolsVersion="15.0" xmlns="http://schemas.microsoft.com/developer/msbuild/2003">'
        "<PropertyGroup><OutputType>Exe</OutputType></PropertyGroup>"
        '<ItemGroup><ProjectReference Include="b.csproj"><Project>{1}</Project></ProjectReference></ItemGroup>'
        "</Project>"
    )

    facts = read_project("a.csproj", text)

    assert facts.is_program
    assert facts.references[0].path == "b.csproj"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<Solution/>",
        "<Project>",
        '<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]><Project>&lol2;</Project>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><Project/>',
        "<Project>" + "<a>" * 100_000,
        "<Project>" + " " * (5 * 2**20) + "</Project>",
    ],
)
def test_what_is_no_honest_project_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^a\.csproj "):
        read_project("a.csproj", text)


_XML = st.recursive(
    st.sampled_from(["", "x", "a;b", "$(X)", "..\\..\\x.csproj", "&amp;"]),
    lambda inner: st.builds(
        lambda name, attribute, value, body: f'<{name} {attribute}="{value}">{"".join(body)}</{name}>',
        st.sampled_from(
            ["PropertyGroup", "ItemGroup", "ProjectReference", "PackageReference", "Choose", "When", "Import"]
        ),
        st.sampled_from(["Include", "Condition", "Project", "Version", "Remove", "Sdk"]),
        st.sampled_from(["", "a", "../b.csproj", "$(X)", "*", "/etc"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=20,
)


@given(_XML)
def test_every_well_formed_project_is_read(body: str) -> None:
    facts = read_project("a/b.csproj", f"<Project>{body}</Project>")

    assert isinstance(facts, ProjectFacts)
    assert not any(reference.path and ".." in reference.path.split("/") for reference in facts.references)


@given(st.text(max_size=60), st.integers(0, len(PROJECT)))
def test_noise_is_refused_or_read(noise: str, cut: int) -> None:
    with suppress(InvalidRequest):
        read_project("a.csproj", PROJECT[:cut] + noise + PROJECT[cut:])
