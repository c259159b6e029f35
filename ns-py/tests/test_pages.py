"""What the pages show is run, and what the help shows too."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import neverstop
import pytest

PAGES = [Path(__file__).resolve().parent.parent / "README.md"]
EXAMPLES = [
    pytest.param(code, id=f"{page.name}-{n}")
    for page in PAGES
    for n, (flags, code) in enumerate(re.findall(r"```python([^\n]*)\n(.*?)```", page.read_text(), re.S))
    if "no-run" not in flags
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", [m.name for m in pkgutil.iter_modules(neverstop.__path__) if m.name not in ("_native", "__main__")] + [""])
def test_what_the_help_shows_is_so(name: str) -> None:
    module = importlib.import_module(f"neverstop.{name}".rstrip("."))
    # As on one page: what a module shows may use what the package has.
    globs = {**vars(neverstop), **vars(module)}
    failed, _ = doctest.testmod(module, globs=globs)
    assert failed == 0
