from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import BuildProperties, StageName
from buildyard.errors import InvalidRequest
from tests.worker.toolchains.trees import context, lines, plan, tree, written
from worker.toolchains.cargo import CargoToolchain

CARGO = CargoToolchain()
PACKAGE = '[package]\nname = "roman"\n'
SOURCE = written({"Cargo.toml": PACKAGE}, "src/lib.rs", "src/main.rs")


def test_each_stage_has_its_command() -> None:
    where = "--workspace --target-dir /w/out/target"
    packing = BuildProperties(create_packages=True)

    assert lines(plan(CARGO, StageName.RESTORE, SOURCE)) == ["cargo fetch"]
    assert lines(plan(CARGO, StageName.BUILD, SOURCE)) == [
        f"cargo build --release --lib --bins --tests --jobs 4 {where}"
    ]
    assert lines(plan(CARGO, StageName.TEST, SOURCE)) == [
        "cargo test --release --jobs 4 --workspace --no-fail-fast --target-dir /w/out/target"
    ]
    assert lines(plan(CARGO, StageName.PACKAGE, SOURCE, packing)) == [
        "cargo package --workspace --no-verify --allow-dirty --target-dir /w/out/target"
    ]
    assert "asks for no packages" in plan(CARGO, StageName.PACKAGE, SOURCE).skip_reason
    (test,) = plan(CARGO, StageName.TEST, SOURCE).commands
    assert (test.tests_fail_on, test.prints) == ((101,), "libtest")


def test_a_lock_file_is_kept_to_and_debug_is_not_optimised() -> None:
    source = written({"app/Cargo.toml": PACKAGE}, "app/Cargo.lock", "app/src/main.rs")
    properties = BuildProperties(configuration="Debug", run_tests=False)

    (build,) = plan(CARGO, StageName.BUILD, source, properties).commands

    assert " ".join(build.argv) == "cargo build --locked --jobs 4 --workspace --target-dir /w/out/target"
    assert build.cwd == "app"
    assert lines(plan(CARGO, StageName.RESTORE, source)) == ["cargo fetch --locked"]


def test_programs_of_all_members_are_handed_out_by_their_names() -> None:
    source = written(
        {
            "Cargo.toml": "[workspace]\nmembers = ['a', 'b']\n",
            "a/Cargo.toml": "[package]\nname = 'a-tool'\n[[bin]]\nname = 'extra'\n[[bin]]\nname = '../up*'",
            "b/Cargo.toml": "[package]\nname = 'b'\n[lib]\ncrate-type = ['cdylib']\n",
        },
        *("a/src/main.rs", "b/src/bin/small.rs", "b/src/bin/large/main.rs", "b/src/bin/large/part.rs"),
    )

    patterns = {glob.pattern: glob.strip for glob in CARGO.artifacts(context(CARGO, source))}

    made = {pattern for pattern in patterns if not pattern.endswith(".exe") and "*" not in pattern}
    assert made == {f"target/release/{name}" for name in ("a-tool", "extra", "small", "large")}
    assert patterns["target/release/small"] == "target/release"
    assert patterns["target/package/*.crate"] == "target"
    assert "target/release/*.so" in patterns


def test_a_member_of_no_kind_is_only_tested() -> None:
    assert "--jobs 4" in lines(plan(CARGO, StageName.BUILD, written({"Cargo.toml": PACKAGE})))[0]
    assert CARGO.detect(tree("src/main.rs")) is None


def test_a_manifest_that_is_no_toml_is_refused_with_its_name() -> None:
    with pytest.raises(InvalidRequest, match=r"^Cargo\.toml:1:9: it is not TOML"):
        plan(CARGO, StageName.BUILD, written({"Cargo.toml": "[package"}))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("warning: unused variable: `x`", "warning"),
        ("error[E0425]: cannot find value `y` in this scope", "error"),
        ("error: expected one of `!` or `::`", "error"),
        ("error: no matching package named `nothere` found", "error"),
        ("warning: `roman` (lib) generated 1 warning", None),
        ("warning: `roman` (lib test) generated 2 warnings (1 duplicate)", None),
        ("error: could not compile `roman` (lib) due to 1 previous error", None),
        ("error: aborting due to 2 previous errors", None),
        ("warning: build failed, waiting for other jobs to finish...", None),
        ("error: test failed, to rerun pass `--lib`", None),
        ("error: 2 targets failed:", None),
        ("   Compiling warning v1.0.0", None),
    ],
)
def test_diagnostics_are_counted_without_their_summaries(text: str, kind: str | None) -> None:
    assert CARGO.count_problems(text) == kind


@given(
    st.dictionaries(st.sampled_from(["package", "bin", "lib"]), st.sampled_from(["1", "[]", "[1]", "{}", "[{}]", "''"]))
)
def test_no_manifest_of_odd_types_breaks_a_plan(values: dict[str, str]) -> None:
    source = written({"Cargo.toml": "\n".join(f"{name} = {value}" for name, value in values.items())}, "src/main.rs")

    assert plan(CARGO, StageName.BUILD, source).commands
    assert CARGO.artifacts(context(CARGO, source))
