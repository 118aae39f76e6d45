"""What the image serves, locked up as on a machine."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from homeport.catalogue import load_catalogue
from homeport.images.container import Archive
from tests.container.containers import APP, Running, container, docker, inspect
from tests.polling import eventually

CATALOGUE = load_catalogue(APP / "services.yaml")
SAMPLE = APP / "tests" / "samples" / "sample.py"
"""A service whose requests take as long as a test wants."""


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_service_of_the_catalogue_starts(image: str, name: str) -> None:
    with container(image, name, CATALOGUE[name].port) as running:
        running.wait_until_ready()
        assert httpx.get(f"{running.url}/version").json()["service"] == name


def test_the_balance_is_answered(balance: Running) -> None:
    answer = httpx.get(f"{balance.url}/users/ada/balance")
    assert (answer.status_code, answer.json()) == (200, {"user": "ada", "tocos": 100})
    assert httpx.get(f"{balance.url}/users/{'x' * 65}/balance").status_code == 422


def test_settings_come_from_the_environment(image: str) -> None:
    with container(image, "balance", 8102, HOMEPORT_BALANCE_KNOWN_USERS='{"ada": 7}') as running:
        assert httpx.get(f"{running.wait_until_ready().url}/users/ada/balance").json()["tocos"] == 7


def test_a_wrong_setting_is_named(image: str) -> None:
    with container(image, "balance", 8101, HOMEPORT_THREADS="many") as running:
        assert running.exit_code() == 2
        assert "HOMEPORT_THREADS" in running.log()


def test_the_version_names_image_and_revision(balance: Running, archive: Archive) -> None:
    version = httpx.get(f"{balance.url}/version").json()
    labels = inspect(balance.name)["Config"]["Labels"]
    assert version["image"] == archive.reference == labels["org.opencontainers.image.version"]
    assert version["revision"] == labels["org.opencontainers.image.revision"] != "unknown"
    assert version["built_at"] == labels["org.opencontainers.image.created"] != "unknown"


def test_metrics_are_served(balance: Running) -> None:
    httpx.get(f"{balance.url}/users/ada/balance")
    metrics = httpx.get(f"{balance.url}/metrics").text
    assert "/users/{user}/balance" in metrics
    assert "process_resident_memory_bytes" in metrics


def test_limits_hold(image: str) -> None:
    with container(image, "balance", 8101, HOMEPORT_MAX_BODY_BYTES="10") as running:
        running.wait_until_ready()
        assert httpx.post(f"{running.url}/users/ada/balance", content=b"x" * 11).status_code == 413


def test_several_processes_need_but_a_temporary_folder(image: str) -> None:
    with container(image, "balance", 8101, "--tmpfs=/tmp", HOMEPORT_PROCESSES="2") as running:
        running.wait_until_ready()
        assert httpx.get(f"{running.url}/users/ada/balance").status_code == 200
        docker("kill", "--signal=TERM", running.name)
        assert running.exit_code() == 0


def health(running: Running) -> str:
    return str(inspect(running.name)["State"]["Health"]["Status"])


FAST_CHECKS = ("--health-interval=200ms", "--health-start-period=0s", "--health-retries=1")
"""The image's own check, more often."""


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.2", "::"])
def test_the_health_check_turns_healthy(image: str, address: str) -> None:
    six = "--sysctl=net.ipv6.conf.all.disable_ipv6=0"  # the engine switches it off where its network has none
    with container(image, "balance", 8101, six, *FAST_CHECKS, HOMEPORT_LISTEN_ADDRESS=address) as running:
        eventually(lambda: health(running) == "healthy", what=f"healthy; its log:\n{running.log()}")


def test_the_health_check_notices_a_service_that_hangs(image: str) -> None:
    with container(image, "balance", 8101, *FAST_CHECKS) as running:
        eventually(lambda: health(running) == "healthy", what="healthy")
        # Its port still takes connections: only the answer that does not come tells.
        docker("kill", "--signal=STOP", running.name)
        eventually(lambda: health(running) == "unhealthy", what="unhealthy")
        docker("kill", "--signal=CONT", running.name)
        eventually(lambda: health(running) == "healthy", what="healthy again")


def test_sigterm_drains(image: str) -> None:
    sample = f"--volume={SAMPLE}:/app/lib/homeport_app/services/sample.py:ro"
    with (
        container(
            image, "sample", 8103, sample, "--tmpfs=/gates:mode=1777", HOMEPORT_SAMPLE_FOLDER="/gates"
        ) as running,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        running.wait_until_ready()
        in_flight = pool.submit(httpx.get, f"{running.url}/gates/one", timeout=30)
        eventually(lambda: "one.held" in running.python("import os; print(os.listdir('/gates'))"), what="it is handled")
        docker("kill", "--signal=TERM", running.name)
        eventually(lambda: "draining" in running.events(), what="it drains")
        running.python("import os; os.unlink('/gates/one.held')")
        assert in_flight.result().json() == {"gate": "one"}
        assert running.exit_code() == 0
        assert running.events()[-1] == "drained"
