"""`python -m tests.benchmarks [NAME ...]`: measure, print a table, write `results.json` beside this file."""

import json
import sys
import traceback
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from tests.benchmarks import binding, coarse, core, learning, nnpmm, page, soak, strain  # noqa: F401 - they register themselves
from tests.benchmarks.base import REGISTRY, Measure

RESULTS = Path(__file__).parent / "results.json"


def main(wanted: set[str]) -> None:
    console = Console(width=120)
    measures: list[Measure] = []
    for names, benchmark in REGISTRY.items():
        if wanted and not wanted & set(names):
            continue
        console.print(f"measuring {', '.join(names)} ...")
        try:
            measures += benchmark()
        except Exception:  # one broken benchmark must not hide the others
            traceback.print_exc()
    table = Table(Column("name", no_wrap=True), "value", "unit", "reference", "ratio", "goal", "reached")
    for m in measures:
        table.add_row(m.name, f"{m.value:.3g}", m.unit, f"{m.reference:.3g}", f"{m.ratio:.3g}", m.goal, "yes" if m.reached else "NO")
    console.print(table)
    before = {row["name"]: row for row in json.loads(RESULTS.read_text())} if wanted and RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(list((before | {m.name: m.row() for m in measures}).values()), indent=2) + "\n")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
