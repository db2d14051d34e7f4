"""What one MSBuild project file says of itself, without evaluating it.

Conditions, property functions and imports need an SDK to be known. What depends on a condition is flagged, and what
cannot be told from the text is listed in `ProjectFacts.unknown`, so that nobody takes a guess for a fact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from buildyard.dotnet.paths import folder_of, resolve
from buildyard.dotnet.safe_xml import local_name, read_tree
from buildyard.errors import InvalidRequest

MAX_PROJECT_BYTES = 4 * 2**20
PROJECT_SUFFIXES = (".csproj", ".fsproj", ".vbproj")

_NEEDS_EVALUATION = re.compile(r"[$@%]\(")
_GROUPS = {"PropertyGroup", "ItemGroup"}
_CHOICES = {"When", "Otherwise"}


@dataclass(frozen=True)
class Property:
    """One property as written; MSBuild names know no case, so compare in lower case."""

    name: str
    value: str
    conditional: bool


@dataclass(frozen=True)
class Package:
    """A PackageReference; `version` is as written, "" where another file sets it."""

    name: str
    version: str
    conditional: bool


@dataclass(frozen=True)
class Reference:
    """A ProjectReference: `path` from the top of the checkout, None where only an evaluation could tell it."""

    include: str
    path: str | None
    conditional: bool


@dataclass(frozen=True)
class ProjectFacts:
    """A project file's own words. `unknown` lists, as sentences, what only an evaluation could tell."""

    path: str
    sdks: tuple[str, ...] = ()
    properties: tuple[Property, ...] = ()
    packages: tuple[Package, ...] = ()
    references: tuple[Reference, ...] = ()
    imports: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def value(self, name: str) -> str | None:
        """A property's last unconditional value; None where there is none, or where it needs an evaluation."""
        written = [fact.value for fact in self.properties if fact.name.lower() == name.lower() and not fact.conditional]
        return None if not written or _NEEDS_EVALUATION.search(written[-1]) else written[-1]

    def flag(self, name: str) -> bool | None:
        """A property that is true or false; None where it is neither."""
        return {"true": True, "false": False}.get((self.value(name) or "").lower())

    def refers_to_package(self, name: str) -> bool:
        """Whether a package is referred to, be it under a condition."""
        return any(package.name.lower() == name.lower() for package in self.packages)

    @property
    def target_frameworks(self) -> tuple[str, ...]:
        """The frameworks this file names itself; empty where an imported file or a condition decides."""
        several = self.value("TargetFrameworks") or self.value("TargetFramework") or ""
        return tuple(part.strip() for part in several.split(";") if part.strip())

    @property
    def is_program(self) -> bool:
        """Whether it makes an executable, as far as its own text tells."""
        by_sdk = any(sdk.partition("/")[0] in _PROGRAM_SDKS for sdk in self.sdks)
        return (self.value("OutputType") or ("exe" if by_sdk else "library")).lower() in {"exe", "winexe"}


_PROGRAM_SDKS = {"Microsoft.NET.Sdk.Web", "Microsoft.NET.Sdk.Worker", "Microsoft.NET.Sdk.BlazorWebAssembly"}


def read_project(path: str, text: str) -> ProjectFacts:
    """Read a project, `.props` or `.targets` file; `path` is its normalised path from the top of the checkout.

    Raises:
        InvalidRequest: the text is no MSBuild project, too large, or hostile XML.
    """
    root = read_tree(text, name=path, max_bytes=MAX_PROJECT_BYTES)
    if local_name(root.tag) != "Project":
        raise InvalidRequest(f"{path} is no MSBuild project: its outermost element is {local_name(root.tag)[:60]!r}.")
    reader = _Reader(path)
    reader.read(root)
    return reader.facts()


class _Reader:
    """Collects facts while it walks a project from top to bottom."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder = folder_of(path)
        self._sdks: list[str] = []
        self._properties: list[Property] = []
        self._packages: list[Package] = []
        self._references: list[Reference] = []
        self._imports: list[str] = []
        self._unknown: dict[str, None] = {}

    def facts(self) -> ProjectFacts:
        return ProjectFacts(
            path=self._path,
            sdks=tuple(self._sdks),
            properties=tuple(self._properties),
            packages=tuple(self._packages),
            references=tuple(self._references),
            imports=tuple(self._imports),
            unknown=tuple(self._unknown),
        )

    def read(self, root: Element) -> None:
        self._sdks += [sdk.strip() for sdk in root.get("Sdk", "").split(";") if sdk.strip()]
        for element, conditional in _statements(root):
            kind = local_name(element.tag)
            if kind == "Sdk":
                self._sdks.append(element.get("Name", ""))
            elif kind == "Import":
                self._import(element)
            elif kind == "PropertyGroup":
                self._property_group(element, conditional=conditional)
            elif kind == "ItemGroup":
                self._item_group(element, conditional=conditional)

    def _import(self, element: Element) -> None:
        if element.get("Sdk"):
            self._sdks.append(element.get("Sdk", ""))
        else:
            self._imports.append(element.get("Project", ""))
            self._unknown["it imports other files"] = None

    def _property_group(self, group: Element, *, conditional: bool) -> None:
        for element in group:
            self._properties.append(
                Property(
                    name=local_name(element.tag),
                    value=(element.text or "").strip(),
                    conditional=conditional or "Condition" in element.attrib,
                )
            )

    def _item_group(self, group: Element, *, conditional: bool) -> None:
        for element in group:
            kind = local_name(element.tag)
            bound = conditional or "Condition" in element.attrib
            if kind in {"PackageReference", "GlobalPackageReference"}:
                self._package(element, conditional=bound)
            elif kind == "ProjectReference":
                self._reference(element, conditional=bound)

    def _package(self, element: Element, *, conditional: bool) -> None:
        version = _metadata(element, "Version") or _metadata(element, "VersionOverride")
        for name in _list(element.get("Include", "")):
            self._packages.append(Package(name=name, version=version, conditional=conditional))

    def _reference(self, element: Element, *, conditional: bool) -> None:
        if "Remove" in element.attrib:
            self._unknown["it removes project references"] = None
        for include in _list(element.get("Include", "")):
            self._references.append(Reference(include=include, path=self._resolved(include), conditional=conditional))

    def _resolved(self, include: str) -> str | None:
        if _NEEDS_EVALUATION.search(include) or "*" in include or "?" in include:
            self._unknown["a project reference needs an evaluation"] = None
            return None
        try:
            return resolve(self._folder, include)
        except InvalidRequest:
            self._unknown["a project reference leads outside the source"] = None
            return None


def _statements(root: Element) -> Iterator[tuple[Element, bool]]:
    """The statements of a project in their order, each with whether it depends on a condition.

    What stands in a Target runs during a build; it is no fact about the project and is left out.
    """
    waiting: list[tuple[Element, bool]] = [(root, False)]
    while waiting:
        element, conditional = waiting.pop()
        kind = local_name(element.tag)
        bound = conditional or "Condition" in element.attrib
        if element is root or kind in {"Choose", "ImportGroup"} | _CHOICES:
            inner = bound or kind in _CHOICES
            waiting += [(child, inner) for child in reversed(element)]
        elif kind in _GROUPS or kind in {"Import", "Sdk"}:
            yield element, bound


def _metadata(element: Element, name: str) -> str:
    """Metadata of an item, written as an attribute or as a child."""
    if name in element.attrib:
        return element.attrib[name].strip()
    return next(((child.text or "").strip() for child in element if local_name(child.tag) == name), "")


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]
