"""How Sphinx builds the site: ``nox -s docs``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generate_reference

import m3ter_async

project = "m3ter-async"
author = "The m3ter-async authors"
copyright = "The m3ter-async authors"
version = release = m3ter_async.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.intersphinx"]
intersphinx_mapping: dict[str, tuple[str, str | None]] = {}  # the build needs no network
exclude_patterns = ["_build", "llms.txt"]
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # a model and an event may have the same short name
nitpicky = False
html_theme = "furo"
html_title = "m3ter-async"
html_extra_path = ["llms.txt"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "source_repository": "https://github.com/m3ter-async/m3ter-async",
    "source_branch": "main",
    "source_directory": "docs/",
}
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
toc_object_entries = False
maximum_signature_line_length = 80

generate_reference.write(HERE / "reference")


def setup(app: object) -> None:
    """Check, at the end, that no public name is left out."""
    app.connect("env-check-consistency", generate_reference.check)  # type: ignore[attr-defined]
    app.connect("autodoc-process-signature", generate_reference.public_signature)  # type: ignore[attr-defined]
