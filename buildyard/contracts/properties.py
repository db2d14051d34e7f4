"""Which build properties a request may set: values, not code, and no folder outside the source. Pure.

Properties reach the command lines of MSBuild, make and CMake. Some of them make those programs load files, packages
or programs of the caller's choice, and some decide where a build writes; the source may do all that, in the open,
a property of a request may not.
"""

from __future__ import annotations

import re

MAX_VALUE_CHARACTERS = 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")  # ASCII: other alphabets have letters that equal these in MSBuild
_MARKS = (";", '"', "%", "$(", "@(")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_LOADS_CODE = re.compile(
    r"custom(before|after)\w*"
    r"|\w*import\w*(before|after)\w*"
    r"|msbuild\w*(path|paths|path32|path64|folder|root)"
    r"|[a-z0-9]+(props|targets)(path|file|root)?"  # LanguageTargets, RoslynTargetsPath, DirectoryBuildPropsPath
    r"|\w*(toolpath|toolexe|compiler_launcher)"
    r"|\w*tasks?(assembly|assemblypath|path|folder|dll)"
    r"|\w*sdks?(path|folder|root|dir)"
    r"|(pre|post)(build|link)event"
    r"|run(command|arguments|workingdirectory)"
    r"|restore\w*(sources|folders|configfile|packagespath|rootconfigdirectory)"
    r"|nuget\w*(root|folders|configfile)"
    r"|vstest(testadapterpath|setting|logger|collect|cliexecutionpath|consolepath)"
    r"|shell|makeflags|gnumakeflags|mflags|makefiles|makeoverrides"
    r"|cmake_project\w*include\w*|cmake_toolchain_file|cmake_make_program",
    re.IGNORECASE,
)
_NAMES_A_FOLDER = re.compile(r"(?!cmake_)\w*(dir|directory|folder|path|root)", re.IGNORECASE)
_ABSOLUTE = re.compile(r"\s*(?:[/\\~]|[A-Za-z]:)")


def check_property(name: str, value: str) -> None:
    """Judge one property.

    Raises:
        ValueError: its name or its value is refused; the message reads on after the field's name.
    """
    if not _NAME.fullmatch(name):
        msg = f"the build property name {name[:40]!r} is not one of up to 100 letters, digits and underscores"
        raise ValueError(msg)
    if _LOADS_CODE.fullmatch(name):
        msg = (
            f"the build property {name} makes the build load other files or programs, which only the source itself"
            " may do, for example in Directory.Build.props"
        )
        raise ValueError(msg)
    if len(value) > MAX_VALUE_CHARACTERS:
        msg = f"the value of build property {name} is longer than {MAX_VALUE_CHARACTERS:,} characters"
        raise ValueError(msg)
    if any(mark in value for mark in _MARKS) or _CONTROL.search(value):
        msg = f'the value of build property {name} holds one of ; " % $( @( or a line break or control character'
        raise ValueError(msg)
    if _NAMES_A_FOLDER.fullmatch(name) and _ABSOLUTE.match(value):
        msg = f"the build property {name} must be a path within the source, not an absolute one"
        raise ValueError(msg)


def check_path_in_source(path: str) -> None:
    """Judge a path that has to lie within the source.

    Raises:
        ValueError: it is empty, absolute, climbs by `..`, or holds control characters.
    """
    parts = re.split(r"[\\/]", path)
    if not path.strip() or _CONTROL.search(path) or _ABSOLUTE.match(path) or ".." in (part.strip() for part in parts):
        msg = f"{path[:60]!a} must be a relative path within the source, without `..`"
        raise ValueError(msg)
