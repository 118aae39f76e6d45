import json

import pytest

UNWANTED = ("podman.socket", "podman.service", "podman-auto-update.timer", "podman-restart.service")


@pytest.fixture(scope="module")
def info(host):
    return json.loads(host.check_output("podman info --format json"))


@pytest.mark.parametrize("name", ["podman", "crun"])
def test_it_comes_from_the_distribution(host, name):
    assert host.package(name).is_installed


def test_containers_are_run_by_crun_on_overlay(info, variables):
    assert info["host"]["ociRuntime"]["name"] == "crun"
    assert info["store"]["graphDriverName"] == "overlay"
    assert info["store"]["graphRoot"] == variables("container_engine")["container_engine_storage"]


def test_logs_and_events_go_where_they_should(info, variables):
    wanted = variables("container_engine")
    assert info["host"]["logDriver"] == wanted["container_engine_log_driver"]
    assert info["host"]["eventLogger"] == wanted["container_engine_events_logger"]


def test_the_machines_own_images_are_looked_up(host, info, variables):
    store = variables("container_engine")["container_engine_image_store"]
    assert info["store"]["graphOptions"]["overlay.imagestore"] == store
    assert host.file(store).is_directory
    assert host.file(store).mode == 0o755


def test_processes_of_a_container_are_limited(host, variables):
    limit = variables("container_engine")["container_engine_pids_limit"]
    assert host.file("/etc/containers/containers.conf").contains(f"^pids_limit = {limit}$")


@pytest.mark.parametrize("unit", UNWANTED)
def test_nothing_of_podman_runs_by_itself(host, unit):
    assert host.service(unit).is_masked
    # Not `failed` either, which would make the whole machine count as degraded.
    assert host.run(f"systemctl is-active {unit}").stdout.strip() == "inactive"


def test_no_other_engine_is_there(host):
    assert not host.exists("dockerd")
    assert not host.exists("containerd")
