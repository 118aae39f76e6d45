from typing import Annotated

import msgspec
import pytest
from conftest import Start
from hypothesis import given
from hypothesis import strategies as st

from homeport_app import settings
from homeport_app.settings import Settings, SettingsError

_NEEDED = {"HOMEPORT_SERVICE": "balance", "HOMEPORT_PORT": "8101"}


class Own(msgspec.Struct, frozen=True):
    limits: Annotated[dict[str, int], msgspec.Meta(description="Limits.")] = {}
    names: Annotated[list[str], msgspec.Meta(description="Names.")] = []


def faults(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        settings.read(Settings, environment)
    return raised.value.faults


def test_defaults_and_values() -> None:
    assert settings.read(Settings, _NEEDED) == Settings(service="balance", port=8101)
    given_values = _NEEDED | {"HOMEPORT_PROCESSES": "3", "HOMEPORT_DRAIN_SECONDS": "2.5", "HOMEPORT_LOG_LEVEL": "debug"}
    read = settings.read(Settings, given_values)
    assert (read.processes, read.drain_seconds, read.log_level) == (3, 2.5, "debug")


def test_an_empty_variable_counts_as_unset() -> None:
    assert settings.read(Settings, _NEEDED | {"HOMEPORT_THREADS": ""}).threads == Settings(service="a", port=1).threads
    assert faults({"HOMEPORT_SERVICE": "", "HOMEPORT_PORT": "1"})[0].startswith("HOMEPORT_SERVICE is not set.")


def test_every_fault_is_named_at_once() -> None:
    found = faults(
        {
            "HOMEPORT_PORT": "65536",
            "HOMEPORT_THREADS": "many",
            "HOMEPORT_DRAIN_SECONDS": "nan",
            "HOMEPORT_LOG_LEVEL": "loud",
        }
    )
    assert [fault.split(":")[0].split()[0] for fault in found] == [
        "HOMEPORT_SERVICE",
        "HOMEPORT_PORT",
        "HOMEPORT_THREADS",
        "HOMEPORT_DRAIN_SECONDS",
        "HOMEPORT_LOG_LEVEL",
    ]
    assert "wanted: integer from 1 to 65535" in found[1]
    assert "wanted: debug, error, info, warning" in found[4]


def test_tables_and_lists_are_json() -> None:
    read = settings.read(Own, {"X_LIMITS": '{"a": 1}', "X_NAMES": '["b"]'}, "X_")
    assert read == Own({"a": 1}, ["b"])
    with pytest.raises(SettingsError, match=r"X_LIMITS: .*JSON object(.|\n)*X_NAMES: .*JSON array"):
        settings.read(Own, {"X_LIMITS": '{"a": "1"}', "X_NAMES": "b"}, "X_")


@given(st.dictionaries(st.sampled_from([name for name, _ in settings._fields(Settings, "HOMEPORT_")]), st.text()))
def test_any_environment_gives_settings_or_faults_that_name_variables(environment: dict[str, str]) -> None:
    try:
        settings.read(Settings, environment)
        found = ["HOMEPORT_ none"]
    except SettingsError as error:
        found = error.faults
    assert found
    assert all(fault.startswith("HOMEPORT_") for fault in found)


def test_the_document_has_a_row_for_every_setting() -> None:
    text = settings.document({"HOMEPORT_": Settings, "HOMEPORT_ORDER_GATEWAY_": Own})
    for field in Settings.__struct_fields__:
        assert f"| `HOMEPORT_{field.upper()}` |" in text
    assert "| `HOMEPORT_PORT` | integer from 1 to 65535 | required | Port to listen on" in text
    assert "\n## order-gateway\n" in text
    assert "| `HOMEPORT_ORDER_GATEWAY_LIMITS` | JSON object | `{}` | Limits. |" in text


def test_names_that_are_no_settings() -> None:
    environment = {"HOMEPORT_PORTS": "1", "HOMEPORT_PORT": "1", "PATH": "/", "HOMEPORT_BALANCE_LIMITS": "{}"}
    known = {"HOMEPORT_": Settings, settings.service_prefix("balance"): Own}
    assert settings.unknown_names(known, environment) == ["HOMEPORT_PORTS"]


def test_the_command_names_all_faults_and_ends_with_2(start: Start) -> None:
    instance = start(wait=False, port="none", threads=0, balance_known_users='{"a": -1}')
    assert instance.wait() == 2
    lines = instance.log_file.read_text().splitlines()
    assert [line.split(":")[1].strip() for line in lines] == [
        "HOMEPORT_PORT",
        "HOMEPORT_THREADS",
        "HOMEPORT_BALANCE_KNOWN_USERS",
    ]


def test_an_unknown_service_is_told_which_there_are(start: Start) -> None:
    instance = start("blance", wait=False)
    assert instance.wait() == 2
    assert "HOMEPORT_SERVICE: no service 'blance'; there is balance, sample." in instance.log_file.read_text()


def test_an_unknown_setting_is_a_warning(start: Start) -> None:
    instance = start(thread=3)
    [line] = instance.events("unknown settings are ignored")
    assert (line["level"], line["names"]) == ("warning", ["HOMEPORT_THREAD"])


def test_the_log_level_holds_for_request_lines_too(start: Start) -> None:
    instance = start(log_level="warning")
    assert instance.stop() == 0
    assert instance.lines() == []
