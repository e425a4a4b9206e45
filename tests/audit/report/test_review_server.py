import http.client
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from noisyflywheel.audit.changes.workspace import Origin, csv_bytes, save_origin
from noisyflywheel.audit.report.page import write_report
from noisyflywheel.audit.report.review_server import ReviewServer, served_page
from noisyflywheel.audit.rows.matching import with_identity
from noisyflywheel.estimator.fitted.issues import label_issues_frame

HEAD = b"row,fingerprint,given_label,decision,new_label,by,when\n"


@pytest.fixture
def folder(tmp_path):
    table = pd.DataFrame({"x": range(6), "kind": list("ababab")})
    table.to_csv(tmp_path / "t.csv", index=False)
    Q = np.tile([[0.9, 0.1]], (6, 1))
    issues = label_issues_frame(table.kind, ["a", "b"], np.linspace(0, 1, 6), np.full(6, 0.5), Q, Q)
    issues = with_identity(issues, table, "kind", np.arange(6))
    (tmp_path / "issues.csv").write_bytes(csv_bytes(issues))
    save_origin(tmp_path, Origin("t.csv", "kind"))
    write_report(tmp_path / "report.html", issues, table[["x"]])
    return tmp_path


@pytest.fixture
def ask(folder):
    with ReviewServer(folder, by="Ada") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()  # looks for its end so often

        def request(method="GET", place="", body=None, token=None, host=None, **headers):
            own = f"127.0.0.1:{server.server_port}"
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
            path = place if place.startswith("/") else f"/{token or server.token}/{place}"
            sent = {"Host": host or own} | ({"Origin": f"http://{own}"} if method == "PUT" else {}) | headers
            sent = {name: value for name, value in sent.items() if value is not None}
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers

        yield request
        server.shutdown()


def test_only_this_machine(ask, folder):
    with ReviewServer(folder) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert len(server.token) >= 24
        assert server.token in server.address


def test_the_page_and_its_headers(ask):
    status, body, headers = ask()
    assert status == 200
    assert b'"by": "Ada"' in body
    assert b"connect-src 'self'" in body
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"


def test_decisions_are_saved_and_given_back(ask, folder):
    assert ask(place="decisions.csv")[:2] == (200, b"")
    body = HEAD + b"2,,b,accept,,Ada,2024-01-01T00:00:00Z\n"
    assert ask("PUT", "decisions.csv", body)[0] == 204
    assert (folder / "decisions.csv").read_bytes() == body
    assert ask(place="decisions.csv")[1] == body
    assert not list(folder.glob("*.part"))


def test_a_page_that_has_not_seen_the_last_decisions_saves_nothing(ask, folder):
    first, second = (HEAD + line for line in (b"2,,b,accept,,,\n", b"3,,a,reject,,,\n"))
    seen = ask(place="decisions.csv")[2]["ETag"]
    status, _, headers = ask("PUT", "decisions.csv", first, **{"If-Match": seen})
    assert status == 204
    status, body, _ = ask("PUT", "decisions.csv", second, **{"If-Match": seen})
    assert status == 412
    assert b"reload" in body
    assert ask("PUT", "decisions.csv", second, **{"If-Match": ""})[0] == 412
    assert (folder / "decisions.csv").read_bytes() == first
    assert ask(place="decisions.csv")[2]["ETag"] == headers["ETag"]
    assert ask("PUT", "decisions.csv", first + second[len(HEAD) :], **{"If-Match": headers["ETag"]})[0] == 204


def test_pages_that_save_at_once_do_not_meet(ask, folder):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask("PUT", "decisions.csv", HEAD + b"2,,b,accept,,,\n")[0], range(80)))
    assert set(answers) == {204}
    assert not list(folder.glob("*.part"))


def test_a_row_that_speaks_of_the_policy_of_the_page(folder):
    text = "connect-src 'none' and connect-src 'self'"
    page = (folder / "report.html").read_text(encoding="utf-8").replace("</main>", f"<p>{text}</p></main>")
    served = served_page(page, "")
    assert text in served
    assert "connect-src 'self'" in served.partition("<body>")[0]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"99,,b,accept,,,", b"99"),
        (b"2,,q,accept,,,", b"'q'"),
        (b"2,,b,maybe,,,", b"maybe"),
        (b"2,ffff,b,accept,,,", b"row 2"),
    ],
)
def test_decisions_on_other_rows_are_not_saved(ask, folder, line, word):
    status, body, _ = ask("PUT", "decisions.csv", HEAD + line + b"\n")
    assert status == 400
    assert word in body
    assert not (folder / "decisions.csv").exists()


@pytest.mark.parametrize(
    "place",
    [
        "issues.csv",
        "audit.json",
        "../audit.json",
        "report.html",
        "t.csv",
        "decisions.csv?",
        "//",
        "/",
        "/decisions.csv",
    ],
)
def test_nothing_else_is_served(ask, place):
    status, body, _ = ask(place=place)
    assert status == 404
    assert body == b""


def test_who_is_refused(ask, folder):
    assert ask(token="x" * 32)[0] == 404
    assert ask(host="evil.example")[0] == 403
    assert ask(host="localhost.evil.example:80")[0] == 403
    assert ask(Origin="http://evil.example")[0] == 403
    assert ask("PUT", "decisions.csv", HEAD, Origin="http://evil.example")[0] == 403
    assert ask("PUT", "decisions.csv", HEAD, Origin=None)[0] == 403
    assert ask("PUT", "", HEAD)[0] == 404
    assert ask("POST", "decisions.csv", HEAD)[0] == 501
    assert ask("DELETE", "decisions.csv")[0] == 501
    assert not (folder / "decisions.csv").exists()


def test_too_much_is_refused(ask):
    assert ask("PUT", "decisions.csv", b"", **{"Content-Length": str(2**40)})[0] == 413


def test_a_folder_that_is_no_audit(tmp_path, folder):
    with pytest.raises(ValueError, match="is not the folder of an audit"):
        ReviewServer(tmp_path / "no")
    (folder / "report.html").unlink()
    with pytest.raises(ValueError, match=r"report.html is not there"):
        ReviewServer(folder)
    with pytest.raises(ValueError, match="not of this version"):
        served_page("<html>", "")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (HEAD.replace(b",", b";") + b"2;;b;accept;;;\n", "commas"),
        (HEAD + b"2,ffff,b,accept,,,\n", "row 2 is not the row"),
        (HEAD + "2,,b,set,\xe4,,\n".encode("cp1252"), "UTF-8"),
    ],
    ids=["semicolons", "another file", "cp1252"],
)
def test_decisions_that_the_page_would_lose_are_not_opened(folder, data, word):
    (folder / "decisions.csv").write_bytes(data)
    with pytest.raises(ValueError, match=rf"decisions\.csv: .*{word}.*move it away"):
        ReviewServer(folder)
    assert (folder / "decisions.csv").read_bytes() == data
    (folder / "decisions.csv").write_bytes(HEAD + b"2,,b, Accept ,,,\n")
    ReviewServer(folder).server_close()


def test_a_name_cannot_leave_its_place(folder):
    page = served_page((folder / "report.html").read_text(encoding="utf-8"), "</script><script>alert(1)")
    assert "<script>alert(1)" not in page
