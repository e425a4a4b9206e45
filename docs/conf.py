"""Sphinx settings of the documentation: `python -m sphinx -W --keep-going docs build/docs`."""

import os
import re
import shutil
import warnings
from pathlib import Path

import noisyflywheel

HERE = Path(__file__).parent
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the nets of the gallery are small
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")

project = "noisyflywheel"
author = "the noisyflywheel developers"
copyright = author
version = release = noisyflywheel.__version__

NOTEBOOKS = HERE.parent / "examples" / "notebooks"
for notebook in NOTEBOOKS.glob("*.ipynb"):  # Sphinx reads what lies below the docs
    (HERE / "notebooks").mkdir(exist_ok=True)
    shutil.copyfile(notebook, HERE / "notebooks" / notebook.name)

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["gallery/*.ipynb", "gallery/*.py", "gallery/*.md5", "gallery/*.zip", "sg_execution_times.rst"]
templates_path = ["_templates"]
default_role = "py:obj"
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_output_stderr = "remove"  # a word of tqdm about widgets that are not installed, with a path of this machine

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
toc_object_entries_show_parents = "hide"

sphinx_gallery_conf = {
    "examples_dirs": [str(HERE.parent / "examples" / "gallery")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_",),
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "noisyflywheel"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"index": []}


def _without_links_outside(app, docname, source):
    """Links that leave the folder of the docs lead nowhere on the site: their text and the path stay."""
    source[0] = re.sub(r"\[([^\]]+)\]\(\.\./([^)]+)\)", r"\1 (`\2`)", source[0])


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", _without_links_outside)
