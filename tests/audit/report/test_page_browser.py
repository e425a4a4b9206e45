"""The report in a real browser; skipped where there is no Chromium. Run with `pytest -m browser`."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from noisyflywheel.audit.report.page import write_report
from noisyflywheel.audit.scores.cross_val import CrossValAudit
from noisyflywheel.estimator.fitted.issues import label_issues_frame

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
    "--dump-dom",
]
SCRIPT = "<script>alert(1)</script>"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH: the report is not looked at in a browser"),
]

PROBE = """<script>
const out = {};
const table = document.getElementById("per-class");
const column = (i) => [...table.tBodies[0].rows].map((r) => r.cells[i].dataset.sort ?? r.cells[i].textContent.trim());
const head = (i) => table.querySelectorAll("thead th")[i];
out.scripts = document.scripts.length;
out.cells = [...new Set([...document.querySelectorAll("#suspects tbody tr")].map((r) => r.cells[2].textContent))];
head(3).querySelector("button").click(); out.up = column(3).map(Number); out.mark = head(3).ariaSort;
head(3).querySelector("button").click(); out.down = column(3).map(Number);
out.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
out.ground = getComputedStyle(document.body).backgroundColor;
document.body.insertAdjacentHTML("beforeend", "<pre id=out></pre>");
document.getElementById("out").textContent = "BEGIN" + JSON.stringify(out) + "END";
</script></body>"""


@pytest.fixture
def report(tmp_path):
    classes = np.array([SCRIPT, "b&b", "cat"])
    rng = np.random.default_rng(0)
    given, quality = classes[rng.integers(0, 3, 60)], rng.random(60)
    Q = rng.dirichlet(np.ones(3), 60)
    names = [f"row{i}" for i in range(60)]
    issues = label_issues_frame(given, classes, quality, quality / 10, Q, Q, index=names)
    audit = CrossValAudit(classes, quality, Q, np.full((3, 3), 1 / 3), issues)
    X = rng.integers(0, 255, (60, 8, 8), dtype=np.uint8)
    return write_report(tmp_path / "r.html", audit, X, title=SCRIPT)


def browse(path, tmp_path, width=1200, *flags):
    """Run the probe in the page; return what it saw and what the console said."""
    page = path.read_text(encoding="utf-8").replace("</body>", PROBE)
    probed = tmp_path / "probed.html"
    probed.write_text(page, encoding="utf-8")
    if width < 500:  # a headless window is never narrower, a frame can be
        frame = tmp_path / "frame.html"
        frame.write_text(
            f"<iframe id=f src=probed.html width={width} height=800></iframe><script>"
            "document.getElementById('f').onload = (e) => document.body.append("
            "e.target.contentDocument.getElementById('out').textContent)</script>"
        )
        probed, flags = frame, (*flags, "--allow-file-access-from-files")
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={max(width, 500)},900",
    ]
    done = subprocess.run([*command, *flags, f"file://{probed}"], capture_output=True, text=True, timeout=120)
    found = re.findall(r"BEGIN(\{.*?\})END", done.stdout)
    assert found, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(found[-1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), console


def test_sort_and_escape(report, tmp_path):
    seen, console = browse(report, tmp_path)
    assert not console
    assert seen["scripts"] == 5  # the page's own two with their data, and the probe
    assert SCRIPT in seen["cells"]
    assert seen["up"] == sorted(seen["up"])
    assert seen["mark"] == "ascending"
    assert seen["down"] == sorted(seen["down"], reverse=True)
    assert seen["wide"] <= 0


def test_phone_does_not_scroll_sideways(report, tmp_path):
    seen, console = browse(report, tmp_path, 390)
    assert not console
    assert seen["wide"] <= 0


def test_dark_mode(report, tmp_path):
    light, _ = browse(report, tmp_path)
    dark, _ = browse(report, tmp_path, 1200, "--force-dark-mode")
    brightness = [sum(map(int, re.findall(r"\d+", page["ground"])[:3])) for page in (light, dark)]
    assert brightness[0] > 600
    assert brightness[1] < 150
