"""Try many cases of input, and write what came of them into docs/faults_input.md: ``python tests/faults/input_table.py``.

The tests take the same cases, fewer of them. Exits with 1 where a case is lost.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from faults.input_arguments import CALLS, wrongs  # noqa: E402
from faults.input_attempts import attempt, make_models  # noqa: E402
from faults.input_cells import CHOICES, Case, alone, cases, possible  # noqa: E402
from faults.input_runs import run  # noqa: E402
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from tqdm import tqdm  # noqa: E402

PAGE, BEGIN, END = ROOT / "docs" / "faults_input.md", "<!-- figures -->", "<!-- end of figures -->"


def drawn(n: int) -> Iterator[Case]:
    """Distinct cases: each oddity alone, and as many with several as hypothesis draws to make ``n``."""
    found = dict.fromkeys(alone())

    @settings(
        max_examples=20 * n, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases())
    def draw(case: Case) -> None:
        if possible(case) and len(found) < n:
            found[case] = None

    draw()
    return iter(found)


def count(results: dict[str, Counter[str]], name: str, kind: str) -> None:
    results.setdefault(name, Counter())[kind] += 1


def table(first: str, results: dict[str, Counter[str]]) -> str:
    """Markdown; a column for each outcome."""
    kinds = ["works", *sorted({k for c in results.values() for k in c} - {"works", "lost"}), "lost"]
    kinds = [kind for kind in kinds if kind == "lost" or any(c[kind] for c in results.values())]
    lines = [f"| {first} | tried | {' | '.join(kinds)} |", f"|---|{'---|' * (len(kinds) + 1)}"]
    lines += [
        f"| {n} | {c.total()} | {' | '.join(str(c[kind] or '') or '0' for kind in kinds)} |" for n, c in results.items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=500, help="cases of AnnData")
    args = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    by_oddity: dict[str, Counter[str]] = {name: Counter() for name in ("none", *CHOICES)}
    all_cells: Counter[str] = Counter()
    default = asdict(Case())
    lost = []
    for case in tqdm(list(drawn(args.cells)), desc="AnnData"):
        result = run(case)
        all_cells[result.kind] += 1
        odd = [name for name, value in asdict(case).items() if value != default[name]]
        for name in odd or ["none"]:
            by_oddity[name][result.kind] += 1
        if result.kind == "lost":
            lost.append(f"{case}: {result.message}")

    by_call: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        models = make_models(Path(folder))
        for call in tqdm(CALLS, desc="arguments"):
            for i, wrong in enumerate(wrongs(call)):
                at = Path(folder, f"{call} {i}")
                at.mkdir()
                kind, message = attempt(wrong, at, models)
                count(by_call, f"`{call}`", kind)
                if kind == "lost":
                    lost.append(f"{wrong}: {message}")

    print("\n".join(lost), file=sys.stderr)
    oddities = {CHOICES_IN_WORDS[name]: c for name, c in by_oddity.items()} | {"distinct cases": all_cells}
    by_call["all"] = sum(by_call.values(), Counter())
    made = f"{BEGIN}\n\n{table('what is odd', oddities)}\n\n{table('call', by_call)}\n\n{END}"
    page = PAGE.read_text() if PAGE.exists() else f"{BEGIN}{END}\n"
    PAGE.write_text(page.split(BEGIN)[0] + made + page.split(END)[1])
    sys.exit(bool(lost))


CHOICES_IN_WORDS = {
    "none": "nothing", "n_cells": "few cells", "n_genes": "few genes, or more", "container": "container", "dtype": "dtype",
    "values": "values", "place": "where counts are", "labels": "labels", "column": "name of the labels' column",
    "batch": "batches", "covariates": "covariates", "size_factors": "size factors", "names": "names of cells and genes",
    "gene_likelihood": "likelihood",
}  # fmt: skip

if __name__ == "__main__":
    main()
