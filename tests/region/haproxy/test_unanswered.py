"""A request that a target has read and not answered: one 502, over each protocol, and no second try."""

import datetime
import subprocess
from collections import Counter
from dataclasses import replace

import pytest
from balancing import target
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.polling import eventually

PROTOCOLS = {"http": ("http", "--http1.1"), "https": ("https", "--http1.1"), "h2": ("https", "--http2")}


def certificate():
    """Return a self-signed certificate with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return (made.public_bytes(form[0]) + key.private_bytes(*form)).decode()


@pytest.fixture
def listening(balancers, place, states, tmp_path):
    """Return a healthy target, the URL of a listener of each scheme before it, and their log."""
    app = place.app()
    load_balancer = place.load_balancer([target(app)])
    plain = load_balancer.listeners[0]
    secure = replace(plain, arn="tls", port=place.free_port(), protocol="HTTPS", certificate_pem=certificate())
    assert balancers.apply([replace(load_balancer, listeners=(plain, secure))]) == {}
    eventually(lambda: set(states().values()) == {"healthy"})
    urls = {"http": f"http://{place.address}:{plain.port}", "https": f"https://{place.address}:{secure.port}"}
    (log,) = (tmp_path / "balancers").glob("*/haproxy.log")
    return app, urls, log


def curl(version, method, *urls):
    """Ask for the URLs on one connection and return each answer: status, protocol, and the connections it took."""
    outputs = [one for url in urls for one in ("-o", "/dev/null", url)]
    done = subprocess.run(
        ["curl", "-sk", "--noproxy", "*", "--max-time", "20", version, "-X", method, *outputs,
         "-w", "%{http_code} %{http_version} %{num_connects}\n"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, [tuple(line.split()) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("ending", ["closed", "reset", "half an answer"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("first", [True, False])
def test_it_is_answered_502_once_and_logged(listening, protocol, method, first, ending):
    app, urls, log = listening
    scheme, version = PROTOCOLS[protocol]
    app.dying = ending
    app.gate.set()
    before = [] if first else [f"{urls[scheme]}/before"]
    status, answers = curl(version, method, *before, f"{urls[scheme]}/slow", f"{urls[scheme]}/after")
    number = "2" if protocol == "h2" else "1.1"
    assert status == 0
    expected = [("200", number)] * len(before) + [("502", number), ("200", number)]
    assert [answer[:2] for answer in answers] == expected
    # The client keeps its one connection through all of that.
    assert [answer[2] for answer in answers] == ["1", *["0"] * (len(answers) - 1)]
    assert Counter(path for _, path in app.requests)["/slow"] == 1
    lines = eventually(lambda: [line for line in log.read_text().splitlines() if "/slow" in line])
    assert len(lines) == 1
    assert " 502 " in lines[0]
    assert lines[0].startswith("127.0.0.1:")  # the client, not the hop before
