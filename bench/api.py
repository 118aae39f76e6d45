"""One cheap call, asked by one client as fast as it is answered: the region's API beside plain moto's server."""

import http.client
import statistics
import time
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench import plain_moto
from bench.commands import HOMEPORT, CommandError, run, say
from bench.report import Table
from bench.session import Session, free_port
from homeport.region import access

CALL = "DescribeVpcs"


def measure(session: Session) -> list[Table]:
    """Measure an empty region and an empty moto, in alternating rounds."""
    state = session.state("api")
    run([HOMEPORT, "region", "up", "--state", str(state.root), "--port", str(free_port())])
    keys = access.read_keys(state)
    rates: dict[str, list[float]] = {"region": [], "plain moto": []}
    with plain_moto.server(session) as plain:
        callers = {
            "region": _Caller(access.settings(access.running(state), keys)),
            "plain moto": _Caller(plain.reach),
        }
        for caller in callers.values():
            caller.calls_per_second(1)  # the first call loads the service
        say(f"{session.runs} rounds of {CALL}")
        for _ in range(session.runs):
            for name, caller in callers.items():
                rates[name].append(caller.calls_per_second(session.seconds))
    session.stop(state)
    ratio = statistics.median(a / b for a, b in zip(rates["region"], rates["plain moto"], strict=True))
    rows = tuple((name, f"{statistics.median(found):.0f}") for name, found in rates.items())
    note = f"One client, medians of {session.runs} rounds; the region makes {ratio:.2f} of plain moto's calls."
    return [Table(f"API, {CALL}", ("server", "calls/s"), rows, note)]


class _Caller:
    """One request, signed once, sent again and again: the client's own work must not be what is measured."""

    def __init__(self, reach: dict[str, str]) -> None:
        url = urlsplit(reach["AWS_ENDPOINT_URL"])
        self._place = (url.hostname or "", url.port)
        request = AWSRequest(
            "POST",
            f"{reach['AWS_ENDPOINT_URL']}/",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            data=f"Action={CALL}&Version=2016-11-15",
        )
        credentials = Credentials(reach["AWS_ACCESS_KEY_ID"], reach["AWS_SECRET_ACCESS_KEY"])
        SigV4Auth(credentials, "ec2", reach["AWS_REGION"]).add_auth(request)
        self._body, self._headers = str(request.data), dict(request.headers.items())

    def calls_per_second(self, seconds: float) -> float:
        """Call for so many seconds."""
        connection = http.client.HTTPConnection(*self._place, timeout=10)
        calls, began = 0, time.monotonic()
        try:
            while (now := time.monotonic()) < began + seconds:
                connection.request("POST", "/", self._body, self._headers)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != http.client.OK:
                    raise CommandError(f"{CALL} was answered with {answer.status}: {body[:300]!r}")
                calls += 1
        finally:
            connection.close()
        return calls / (now - began)
