"""The engine's suite, run for providers through Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from neverstop import ReplicationMode, StorageProvider, conformance
from neverstop.conformance import Outcome

from file_storage import FileStorage, TwoFolders
from sim_fixtures import SimCloud, SimStorage

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def test_plain_files_do_what_a_storage_must() -> None:
    report = conformance.run(TwoFolders())
    assert report.ok, "\n".join(str(case) for case in report.cases)
    # It has no second mode to be refused.
    assert report.named(Outcome.SKIPPED) == ("enable_is_idempotent",)


@pytest.mark.parametrize("mode", ReplicationMode)
def test_a_storage_of_the_engine_is_the_same_through_python(mode: ReplicationMode) -> None:
    report = conformance.run(SimStorage(mode))
    assert report.ok and not report.named(Outcome.SKIPPED), "\n".join(str(case) for case in report.cases)


def test_a_cloud_of_the_engine_is_the_same_through_python() -> None:
    report = conformance.run(SimCloud())
    assert report.ok, "\n".join(str(case) for case in report.cases)
    assert len(report.named(Outcome.PASSED)) > 20


class Forgetful(FileStorage):
    """Says that everything has arrived."""

    async def arrived(self, replica: str, mark: str) -> bool:
        return True


class Careless(TwoFolders):
    def secondary(self) -> StorageProvider:
        return Forgetful(super().secondary().folder)  # type: ignore[attr-defined]


def test_a_storage_that_promises_too_much_is_found_out() -> None:
    report = conformance.run(Careless(), wanted=lambda name: "arrive" in name)
    assert "arrived_means_the_snapshot_is_there" in report.named(Outcome.FAILED), report.cases


def main(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "neverstop.conformance", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=EXAMPLES,
    )


def test_the_program_prints_case_by_case() -> None:
    done = main("file_storage:FileStorage", "-k", "rename")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "passed   found_by_token_after_rename",
        "passed   a_rename_is_survived",
        "2 passed, 0 skipped, 0 failed",
    ]


def test_the_program_fails_when_a_case_does(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from file_storage import FileStorage, TwoFolders\n"
        "class Deaf(FileStorage):\n"
        "    async def find(self, token):\n"
        "        return None\n"
        "class Fixture(TwoFolders):\n"
        "    def primary(self):\n"
        "        return Deaf(super().primary().folder)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "neverstop.conformance", "broken:Fixture", "-k", "found_by_token"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(EXAMPLES)},
    )
    assert done.returncode == 1
    assert done.stdout.startswith("FAILED   found_by_token_after_rename: ") and done.stdout.endswith("0 passed, 0 skipped, 1 failed\n")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("file_storage", "say which: module:Name"),
        ("file_storage:Nothing", "there is no file_storage:Nothing"),
        ("no_such_module:X", "there is no no_such_module:X"),
        ("file_storage:Image", "file_storage:Image makes no fixture"),
    ],
)
def test_what_is_no_fixture_is_refused(named: str, says: str) -> None:
    done = main(named)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says) and "[python.fixture] (field fixture)" in done.stderr
