"""What the pages have beside their sources: links from names to the API, directions of metrics, and notebooks to download."""

import inspect
import json
import pydoc
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from activa.metrics import METRICS

# what the pages call an object of the class
INSTANCES = {"model": "ACTIVA", "sampler": "Sampler", "ACTIVA": "ACTIVA", "Sampler": "Sampler"}
# names of the API that pages also use for something else, such as scvi-tools' methods, beside those of arguments
AMBIGUOUS = {"genes", "types", "batches", "history", "load", "refit", "save"}
# an interval stays on one line
INTERVAL = re.compile(r"[\d.,]+%? (to|±) -?[\d.,]+")


class LinkNames(SphinxPostTransform):
    """Link ``activa.pl.umap``, ``model.generate(100)`` or ``rf_auc`` to its page, where it is sure what is meant."""

    default_priority = 5  # before references are resolved

    def run(self, **_: Any) -> None:
        """Link the names of one page."""
        if self.env.docname.startswith("generated/"):
            return
        known = {name for name in self.env.domains.python_domain.objects if name.startswith("activa.")}
        for entry in [*self.document.findall(nodes.entry)]:
            for text in [*entry.findall(nodes.Text)]:
                text.parent.replace(text, nodes.Text(INTERVAL.sub(_unbroken, text)))
            if (name := entry.astext()) in METRICS:
                entry[0].replace_self(nodes.paragraph("", "", nodes.literal(name, name), nodes.Text(_direction(name))))
        for literal in [*self.document.findall(nodes.literal)]:
            if "code" in literal.get("classes", []) or _is_inside(literal, nodes.reference, nodes.title):
                continue
            if target := api_name(literal.astext(), frozenset(known)):
                docname, anchor = self.env.domains.python_domain.objects[target][:2]
                uri = self.app.builder.get_relative_uri(self.env.docname, docname)
                link = nodes.reference("", "", internal=True, refuri=f"{uri}#{anchor}", reftitle=target)
                literal.replace_self(link)
                link += literal


def _is_inside(node: nodes.Node, *kinds: type[nodes.Node]) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def _unbroken(match: re.Match[str]) -> str:
    return match.group().replace(" ", "\N{NO-BREAK SPACE}")


def _direction(name: str) -> str:
    metric = METRICS[name]
    if metric.two_sided:
        return " (best at the floor)"
    return " (higher is better)" if metric.higher_is_better else " (lower is better)"


@cache
def _unique(known: frozenset[str]) -> dict[str, str]:
    """Functions and classes by the last part of their names, if only one has it."""
    last = Counter(name.rpartition(".")[2] for name in known)
    return {name.rpartition(".")[2]: name for name in known if last[name.rpartition(".")[2]] == 1}


@cache
def _arguments(known: frozenset[str]) -> set[str]:
    """Names of the arguments of all functions."""
    objects = [pydoc.locate(name) for name in known]
    return {name for item in objects if inspect.isroutine(item) for name in inspect.signature(item).parameters}


def api_name(text: str, known: frozenset[str]) -> str | None:
    """The full name of the object of the API that a piece of code names, or None."""
    if not (match := re.fullmatch(r"((?:\w+\.)*)(\w+)(\(.*\))?", text, flags=re.DOTALL)):
        return None
    path, last, call = match.groups()
    if not path and (last in AMBIGUOUS or not call and last not in METRICS and last in _arguments(known)):
        return None
    owner = path.rstrip(".").rpartition(".")[2]
    candidates = [path + last, f"activa.{path}{last}"]
    if owner in INSTANCES:
        candidates.append(f"activa.{INSTANCES[owner]}.{last}")
    if not path:
        candidates += [f"activa.metrics.{last}"] if last in METRICS else [_unique(known).get(last, "")]
    return next((name for name in candidates if name in known), None)


def add_notebook(app: Sphinx, page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """Offer a tutorial, which MyST-NB has written as a notebook, with the theme's download button and above its text."""
    written = Path(app.outdir).parent / "jupyter_execute" / f"{page}.ipynb"
    if not (page.startswith("tutorials/") and written.exists()):
        return
    notebook = json.loads(written.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":  # Jupyter does not know Sphinx's roles
            cell["source"] = re.sub(r"\{\w+(?::\w+)?\}`([^`]+)`", r"`\1`", "".join(cell["source"]))
    offered = Path(app.outdir) / "_sources" / f"{page}.ipynb"
    offered.parent.mkdir(parents=True, exist_ok=True)
    offered.write_text(json.dumps(notebook, indent=1))
    context["ipynb_source"] = f"{page}.ipynb"
    link = f'<p class="notebook"><a href="{context["pathto"](f"_sources/{page}.ipynb", 1)}" download>Download as a notebook</a></p>'
    context["body"] = context["body"].replace("</h1>", f"</h1>\n{link}", 1)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both."""
    app.add_post_transform(LinkNames)
    app.connect("html-page-context", add_notebook, priority=400)  # before the theme makes its buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
