"""What the pages show is run, and what the help shows too."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import neverstop
import pytest

ROOM = Path(__file__).resolve().parent.parent
TASKS = next(folder for folder in (ROOM / "docs", ROOM.parent / "docs" / "python") if folder.exists())
PAGES = sorted(page for page in TASKS.glob("*.md") if page.name != "README.md")


def blocks(page: Path) -> list[str]:
    """The Python of a page that is to be run."""
    found = re.findall(r"```python([^\n]*)\n(.*?)```", page.read_text(), re.S)
    return [code for flags, code in found if "no-run" not in flags]


@pytest.mark.parametrize("code", [pytest.param(code, id=f"README-{n}") for n, code in enumerate(blocks(ROOM / "README.md"))])
def test_an_example_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["example"])
    exec(compile(code, "example", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out


def test_the_script_of_the_first_page_is_the_example() -> None:
    _, script = (ROOM / "examples" / "drill.py").read_text().split("\n\n", 1)
    assert blocks(ROOM / "README.md")[0] == script


def test_there_is_a_page_for_every_task() -> None:
    assert [page.stem for page in PAGES] == ["connect", "drill", "failback", "failover", "protect", "providers"]
    table = (TASKS / "README.md").read_text()
    assert all(f"({page.name})" in table for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_from_its_first_line_to_its_last(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(TASKS))
    names: dict[str, object] = {"__name__": "example"}
    for n, code in enumerate(blocks(page)):
        exec(compile(code, f"{page.name} block {n + 1}", "exec"), names)
        # A block that only tidies up says nothing.
        assert capsys.readouterr().out or code == "dr.close()\n", code


@pytest.mark.parametrize("name", [m.name for m in pkgutil.iter_modules(neverstop.__path__) if m.name not in ("_native", "__main__")] + [""])
def test_what_the_help_shows_is_so(name: str) -> None:
    module = importlib.import_module(f"neverstop.{name}".rstrip("."))
    # As on one page: what a module shows may use what the package has.
    globs = {**vars(neverstop), **vars(module)}
    failed, _ = doctest.testmod(module, globs=globs)
    assert failed == 0
