class HomeportError(Exception):
    """A failure that a person sees: what happened, and the command to run next.

    The command line prints ``message``, then ``log`` (the last lines of whatever failed), then
    ``next_step``, and exits with 1.
    """

    def __init__(self, message: str, *, next_step: str = "", log: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.log = log
