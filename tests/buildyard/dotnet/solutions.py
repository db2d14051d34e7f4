"""Solution texts for tests."""

from __future__ import annotations

_SLN = r"""
Microsoft Visual Studio Solution File, Format Version 12.00
# Visual Studio Version 17
Project("{2150E333-8FDC-42A3-9474-1A3956D46DE8}") = "src", "src", "{F001}"
EndProject
Project("{2150E333-8FDC-42A3-9474-1A3956D46DE8}") = "core", "core", "{F002}"
EndProject
Project("{FAE04EC0}") = "Api", "..\src\Api\Api.csproj", "{A001}"
	ProjectSection(ProjectDependencies) = postProject
		{a002} = {A002}
		{F00} = {F00}
	EndProjectSection
EndProject
Project("{9A19103F}") = "Core", "Core/Core.csproj", "{A002}"
EndProject
Project("{FAE04EC0}") = "Core", "other\Core.csproj", "{A003}"
EndProject
Project("{E24C65DC}") = "web", "http://localhost/web", "{A004}"
EndProject
Project("{FAE04EC0}") = "evil", "..\..\..\etc\x.csproj", "{A005}"
EndProject
Project("{FAE04EC0}") = "again", "other\..\.\Core\\Core.csproj", "{A006}"
EndProject
Global
	GlobalSection(SolutionConfigurationPlatforms) = preSolution
		Debug|Any CPU = Debug|Any CPU
		Release|x64 = Release|x64
	EndGlobalSection
	GlobalSection(ProjectConfigurationPlatforms) = postSolution
		{A001}.Debug|Any CPU.ActiveCfg = Debug|Any CPU
		{A001}.Debug|Any CPU.Build.0 = Debug|Any CPU
		{A001}.Release|x64.ActiveCfg = Release|x64
	EndGlobalSection
	GlobalSection(NestedProjects) = preSolution
		{F002} = {F001}
		{A002} = {F002}
		{A001} = {F001}
	EndGlobalSection
EndGlobal
"""
SLN = "\ufeff" + _SLN.replace("\n", "\r\n")
"""With its BOM and line ends, as Visual Studio writes it."""

SLNX = """<Solution>
  <Configurations>
    <BuildType Name="Debug" />
    <BuildType Name="Release" />
    <Platform Name="Any CPU" />
    <Platform Name="x64" />
  </Configurations>
  <Folder Name="/src/core/">
    <File Path="README.md" />
    <Project Path="src/core\\Core.csproj" DisplayName="The core">
      <Build Project="false" />
      <Build Solution="Release|*" Project="true" />
      <Build Solution="*|x64" Project="false" />
    </Project>
  </Folder>
  <Project Path="src/Api/Api.csproj">
    <BuildDependency Project="src/core/Core.csproj" />
    <BuildType Solution="Debug|*" Project="Release" />
  </Project>
  <Project Path="../outside.csproj" />
  <Properties Name="x"><Property Name="a" Value="b" /></Properties>
</Solution>
"""
