"""The notebook runs, cell by cell, in a kernel of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "drill.ipynb"

RUN = """
import json, sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
print(json.dumps([[str(output) for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]))
"""


def test_the_notebook_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, NOTEBOOK], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout.splitlines()[-1])
    # Values show themselves as tables.
    assert "<table><caption>Cluster" in outputs[0][0] and "<table><caption>RecoveryPlan" in outputs[1][0]
    assert "clone a snapshot" in outputs[2][0]
    assert any("web-3" in text for text in outputs[4])


def test_the_notebook_is_kept_without_what_it_printed() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")
