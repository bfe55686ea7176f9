class DemoError(Exception):
    """Its text is for the person at the terminal: what went wrong and, where there is one, the way out."""


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; unwinds everything, so that whatever was started is ended."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number
