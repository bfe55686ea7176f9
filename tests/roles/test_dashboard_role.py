from tests.roles.commands import eventually, get, health, port_in, role, scrape


def test_the_dashboard_answers_probes_and_pages_and_keeps_metrics_on_a_port_of_their_own(tmp_path, database):
    with role(tmp_path, database.url, "dashboard", "--port", "0", "--metrics-port", "0") as dashboard:
        line = dashboard.wait_for_error_line("dashboard on ")
        port, metrics_port = port_in(line), int(line.split("metrics on port ")[1].split(",")[0])
        assert eventually(lambda: health(port)) == (200, {"status": "ok", "reasons": []})
        assert get(port, "/health", host="10.1.2.3:3000")[0] == 200
        assert get(port, "/health/live", host="10.1.2.3:3000")[0] == 200
        assert get(port, "/admin/login/", host="10.1.2.3:3000")[0] == 400
        assert b"csrfmiddlewaretoken" in get(port, "/admin/login/")[1]
        assert get(port, "/metrics")[0] == 404
        assert "python_info" in scrape(metrics_port)
        assert get(metrics_port, "/metrics")[0] == 401
        assert health(metrics_port)[0] == 200
        dashboard.terminate()
        assert dashboard.exit_code() == 0


def test_a_dashboard_without_its_database_lives_and_says_what_is_missing(tmp_path):
    nowhere = "postgresql://nobody@127.0.0.1:9/none"
    with role(tmp_path, nowhere, "dashboard", "--port", "0", "--metrics-port", "0") as dashboard:
        port = port_in(dashboard.wait_for_error_line("dashboard on "))
        status, report = eventually(lambda: health(port))
        assert status == 503
        assert report["reasons"][0].startswith("database: ")
        assert get(port, "/health/live")[0] == 200
        assert "Traceback" not in dashboard.errors


def test_a_busy_port_is_one_sentence(tmp_path, database):
    with role(tmp_path, database.url, "dashboard", "--port", "0", "--metrics-port", "0") as dashboard:
        port = port_in(dashboard.wait_for_error_line("dashboard on "))
        eventually(lambda: health(port))
        folder = tmp_path / "second"
        folder.mkdir()
        with role(folder, database.url, "dashboard", "--port", str(port)) as second:
            assert second.exit_code(20) == 1
            said = f"CommandError: Port {port} on 127.0.0.1 is in use: choose another."
            assert second.errors.strip().splitlines()[-1] == said
