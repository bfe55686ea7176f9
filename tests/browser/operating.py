"""An operator before a browser: what people do on pages, and what no page may do behind their back."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, Locator, Page

from tests.databases import Database

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_MOST_TABS = 150


@dataclass
class Company:
    database: Database
    dashboard_url: str
    gateway_url: str
    key: str
    sign_in: dict[str, str]

    def chat(self, *, key: str = "", sandbox: str = "", seconds: float = 30) -> httpx.Response:
        head = {"authorization": f"Bearer {key or self.key}"} | ({"x-sandbox": sandbox} if sandbox else {})
        body = {"model": "gpt-4.1-mini", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
        return httpx.post(f"{self.gateway_url}/v1/chat/completions", json=body, headers=head, timeout=seconds)


class Operator:
    """One person's browser; `went_wrong` gathers failed answers, script errors and calls to other hosts."""

    def __init__(self, browser: Browser, company: Company, **options: object) -> None:
        self.company, self.went_wrong = company, []
        self.context = browser.new_context(base_url=company.dashboard_url, **options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self._listen()

    def sign_in(self, password: str = "") -> None:
        self.page.goto("/admin/")
        self.page.get_by_label("Email").fill(self.company.sign_in["email"])
        self.page.get_by_label("Password").fill(password or self.company.sign_in["password"])
        self.page.get_by_role("button", name="Log in").click()

    def open(self, path: str) -> Page:
        self.page.goto(path)
        return self.page

    def links(self, selector: str) -> list[str]:
        """The paths that links lead to, each once."""
        found = self.page.eval_on_selector_all(selector, "links => links.map(link => link.getAttribute('href'))")
        return sorted({urlsplit(href).path for href in found})

    def tab_to(self, target: Locator) -> None:
        """Only with the tabulator key, as somebody without a mouse."""
        for _ in range(_MOST_TABS):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no tab leads to {target}")

    def close(self) -> None:
        self.context.close()

    def _listen(self) -> None:
        wrong, page = self.went_wrong, self.page
        own = urlsplit(self.company.dashboard_url).netloc
        page.on("pageerror", lambda error: wrong.append(f"script: {error} on {page.url}"))
        page.on("console", lambda told: told.type == "error" and wrong.append(f"console: {told.text} on {page.url}"))
        page.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status} {answer.url}"))
        page.on("request", lambda sent: urlsplit(sent.url).netloc != own and wrong.append(f"elsewhere: {sent.url}"))


def wait_until_up(url: str, process: subprocess.Popen, log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the dashboard did not come up:\n{log.read_text()[-3000:]}")
