"""Both published clients, unmodified, write and read files in every way, and one of them keeps file sets."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pachlet.testing import RunningServer
from tests.clients.test_clients import run

TEXT = "<p>a page</p>"


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_there = self.path == "/page"
        self.send_response(200 if is_there else 404)
        self.end_headers()
        self.wfile.write(TEXT.encode() if is_there else b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    """The URL of a page on this machine."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=web.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{web.server_address[1]}/page"
    web.shutdown()
    web.server_close()


def check(seen: dict[str, Any]) -> None:
    assert seen["projects"] == ["default", "other"]
    assert seen["repos"] == ["default/plain", "other/data"]
    assert seen["description"] == "first"
    assert seen["commits_of_a_new_repo"] == 0
    assert seen["branches"] == ["develop", "master"]  # the newest first
    assert seen["project_in_use"] == "FAILED_PRECONDITION"
    assert seen["sizes"] == {"/a/": 2, "/bytes": 2, "/empty": 0, "/filelike": 3, "/folder/": 6}
    assert seen["page"] == TEXT
    assert seen["empty"] == ""
    assert (seen["appended"], seen["replaced"]) == ("1234", "new")
    assert seen["walked"] == ["/a/", "/a/b/", "/a/b/deep", "/a/shallow"]
    assert seen["globbed"] == ["/folder/two"]
    assert seen["differ"] == [
        ["/", "/"],
        ["", "/a/"],
        ["", "/a/b/"],
        ["", "/a/b/deep"],
        ["", "/a/shallow"],
        ["/bytes", "/bytes"],
        ["/copy/", ""],
        ["/copy/b/", ""],
        ["/copy/b/deep", ""],
        ["/copy/shallow", ""],
        ["", "/empty"],
        ["/filelike", "/filelike"],
    ]
    assert seen["unlike_paths"] == [["/bytes", ""], ["", "/filelike"]]
    assert seen["paths"] == [True, True, True, True, False]
    assert seen["first_message_is_a_part"]
    assert seen["large"]
    assert seen["extracted"] == ["copy/b/deep", "copy/shallow"]
    assert seen["bad_path"]
    assert seen["infos"] == [[True, True, ""]] * 2
    assert seen["fsck"] == 0
    assert seen["left"] == ["plain"]
    assert seen["auth"] == "the auth service is not activated"
    assert seen["ids"][0] == seen["ids"][1] != ""
    assert seen["profile"]


def test_python_pachyderm_works_on_files(server: RunningServer, page: str) -> None:
    seen = run("python-pachyderm", "files_python_pachyderm.py", server, page)
    check(seen)
    assert seen["subscribed"]  # it asks for commits of users only
    assert seen["no_commit"] == "bad argument: nonexistent commit provided"
    assert seen["missing"] == "ConnectionError"
    assert seen["bad_url"]
    assert seen["nothing_of_it"]
    assert seen["branch_in_answers"] == ["data", "data"]
    assert seen["after_delete_all"] == ["default"]


def test_pachyderm_sdk_works_on_files(server: RunningServer, page: str) -> None:
    seen = run("pachyderm-sdk", "files_pachyderm_sdk.py", server, page)
    check(seen)
    assert seen["exists"] == [True, False, True, False]
    assert seen["subscribed"] == [False, True]  # first the empty commit that the branch was made with
    assert seen["no_commit"] == "commit does not exist"
    assert seen["missing"] == "ValueError"
    assert seen["no_branch_in_answers"]


def test_pachyderm_sdk_keeps_file_sets(server: RunningServer) -> None:
    seen = run("pachyderm-sdk", "filesets_pachyderm_sdk.py", server)
    assert seen["resolved"]
    assert seen["chunks"]
    assert seen["names"]
    assert seen["assembled"]
    assert seen["incomplete"]
    assert seen["part"] == ["part/2/file2"]
    assert seen["in_commit"] == ["/0/", "/1/", "/2/", "/3/", "/4/", "/big"]
    assert seen["virtual"]
    assert seen["composed"]
    assert seen["shards"] == [["", "/4/file4"], ["/4/file4", ""]]
    assert seen["cached"] == "1"
    assert seen["missing"] == "NOT_FOUND"
