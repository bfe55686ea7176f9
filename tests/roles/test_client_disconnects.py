import time

from tests.roles.serving import connected, exchange, request, serving, status_of


def test_the_application_hears_at_once_that_its_client_has_gone(tmp_path):
    with serving(tmp_path, "waits_for_disconnect") as server:
        with connected(server.port) as connection:
            connection.sendall(request(method="POST", body=b"question"))
            assert b"first" in connection.recv(1000)
            time.sleep(0.2)
        left = time.monotonic()
        assert server.wait_for("http.") == "disconnect"
        assert time.monotonic() - left < 5
        assert "Traceback" not in server.errors


def test_a_client_that_goes_while_the_application_works_harms_nobody(tmp_path):
    with serving(tmp_path, "slow") as server:
        with connected(server.port) as connection:
            connection.sendall(request("/?0.2"))
            server.wait_for("working")
        time.sleep(0.3)
        assert status_of(exchange(server.port, request("/?0"))) == 200
        assert "Traceback" not in server.errors


def test_a_client_that_goes_in_the_middle_of_its_body_harms_nobody(tmp_path):
    with serving(tmp_path, "echo") as server:
        with connected(server.port) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\nhalf")
        assert status_of(exchange(server.port, request())) == 200
        assert "Traceback" not in server.errors
