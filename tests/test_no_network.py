"""The tests themselves: no connection leaves the machine."""

import socket
import urllib.error
import urllib.request

import pytest


def test_a_connection_to_another_machine_is_refused():
    with pytest.raises(ConnectionRefusedError, match="a test reached for the network"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


def test_a_download_fails():
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen("http://192.0.2.1/", timeout=1)
