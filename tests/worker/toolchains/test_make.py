from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import BuildProperties, StageName
from tests.worker.toolchains.trees import context, line, lines, plan, tree, written
from worker.toolchains.make import MakeToolchain, makefile_targets

MAKE = MakeToolchain()
MAKEFILE = """
VERSION := 1.0
URL = http://example.org/a:b
all: app
app lib: main.o \\
    other.o
\tcc -o $@ $^
%.o: %.c
.PHONY: all test
ifeq ($(X),:)
endif
test:: all
dist install: all
$(EXTRA): x
"""


def test_the_targets_of_a_makefile_are_its_own_plain_names() -> None:
    assert makefile_targets(MAKEFILE) == ("all", "app", "lib", "test", "dist", "install")


def test_each_stage_makes_its_target() -> None:
    source = written({"Makefile": MAKEFILE + "\tcp app $(DESTDIR)/bin\n"})
    properties = BuildProperties(build_properties={"CFLAGS": "-O3 $x"})

    assert plan(MAKE, StageName.RESTORE, source).skip_reason
    assert lines(plan(MAKE, StageName.BUILD, source, properties)) == ["/usr/bin/make -j4 CFLAGS=-O3 $$x all"]
    assert lines(plan(MAKE, StageName.TEST, source)) == ["/usr/bin/make test"]
    assert lines(plan(MAKE, StageName.PACKAGE, source)) == [
        "/usr/bin/make dist",
        "/usr/bin/make DESTDIR=/w/out/install install",
    ]


def test_a_makefile_test_counts_as_one_test_by_its_exit_code() -> None:
    command = plan(MAKE, StageName.TEST, written({"GNUmakefile": "check:\n\ttrue\n"})).commands[0]

    assert (command.test_case, command.tests_fail_on) == ("make check", (2,))


def test_what_a_makefile_lacks_is_skipped_with_its_reason() -> None:
    source = written({"Makefile": "prog: prog.c\n"})

    assert lines(plan(MAKE, StageName.BUILD, source)) == ["/usr/bin/make -j4"]
    assert plan(MAKE, StageName.TEST, source).skip_reason == "The Makefile has no test or check target."
    assert "neither a dist target" in plan(MAKE, StageName.PACKAGE, source).skip_reason


def test_install_never_runs_where_it_would_leave_the_workspace() -> None:
    source = written({"Makefile": "all:\ninstall:\n\tcp app /usr/local/bin\n"})

    assert plan(MAKE, StageName.PACKAGE, source).skip_reason


def test_archives_that_lay_there_before_are_no_artifacts() -> None:
    patterns = [glob.pattern for glob in MAKE.artifacts(context(MAKE, tree("p/Makefile", "p/vendored.tar.gz")))]

    assert "p/*.zip" in patterns
    assert "p/*.tar.gz" not in patterns


def test_cmake_configures_and_builds_outside_the_source() -> None:
    source = written({"CMakeLists.txt": "project(x)\n"}, "Makefile")
    properties = BuildProperties(configuration="Debug", build_properties={"WITH_X": "ON"})

    assert lines(plan(MAKE, StageName.BUILD, source, properties)) == [
        "/usr/bin/cmake -S . -B /w/scratch/cmake -DCMAKE_BUILD_TYPE=Debug -DWITH_X=ON",
        "/usr/bin/cmake --build /w/scratch/cmake --config Debug --parallel 4",
    ]


def test_cmake_tests_packs_and_installs_what_the_lists_declare() -> None:
    texts = {"CMakeLists.txt": "Include( CTest )\nadd_subdirectory(lib)", "lib/CMakeLists.txt": "INSTALL (TARGETS x)"}
    source, both = written(texts), BuildProperties(create_packages=True)

    test = plan(MAKE, StageName.TEST, source).commands[0]
    assert line(test) == (
        "ctest --test-dir /w/scratch/cmake -C Release --output-on-failure --no-tests=error "
        "--output-junit /w/out/reports/ctest.xml"
    )
    assert test.tests_fail_on == (8,)
    (install,) = plan(MAKE, StageName.PACKAGE, source, both).commands
    assert line(install) == "/usr/bin/cmake --install /w/scratch/cmake --config Release"
    assert install.env == {"DESTDIR": "/w/out/install"}
    packing = BuildProperties(create_packages=True, publish_artifacts=False)
    (pack,) = plan(MAKE, StageName.PACKAGE, written({"CMakeLists.txt": "include(CPack)"}), packing).commands
    assert line(pack) == (
        "cpack --config /w/scratch/cmake/CPackConfig.cmake -B /w/out/packages -C Release "
        "-D CPACK_ERROR_ON_ABSOLUTE_INSTALL_DESTINATION=ON"
    )
    plain = written({"CMakeLists.txt": "project(x)"})
    assert plan(MAKE, StageName.TEST, plain).skip_reason == "No CMakeLists.txt says enable_testing()."
    assert plan(MAKE, StageName.PACKAGE, plain, both).skip_reason


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("src/a.c:12:3: warning: unused variable 'x' [-Wunused-variable]", "warning"),
        ("src/a.c:12: error: expected ';'", "error"),
        ("a.c:1:10: fatal error: no.h: No such file or directory", "error"),
        ("collect2: error: ld returned 1 exit status", "error"),
        ("cc1: warning: unrecognized option", "warning"),
        ("CMake Error at CMakeLists.txt:3 (find_package):", "error"),
        ("CMake Warning (dev) at CMakeLists.txt:3:", "warning"),
        ("make: *** [Makefile:3: all] Error 1", None),
        ("src/a.c: In function 'main':", None),
        ("echo 'warnings: none'", None),
        ("gcc -Werror -c a.c", None),
    ],
)
def test_compiler_problems_are_counted_by_their_line(text: str, kind: str | None) -> None:
    assert MAKE.count_problems(text) == kind


@given(st.text(alphabet="a:=\\\n\t #$%. ", max_size=200))
def test_no_makefile_crashes_the_reader(text: str) -> None:
    assert all(target and not target.startswith(".") for target in makefile_targets(text))


@pytest.mark.parametrize("part", [" ", "a ", "a:", ":", "\\\n", "a" * 100 + " "])
def test_a_hostile_makefile_is_read_in_no_time(part: str) -> None:
    started = time.process_time()

    makefile_targets("a" + part * (262_144 // len(part)))

    assert time.process_time() - started < 2
