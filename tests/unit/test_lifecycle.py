import boto3
import pytest

from homeport.region.autoscaling import lifecycle
from homeport.region.autoscaling.lifecycle import LAUNCHING_TRANSITION, STATES, TERMINATING_TRANSITION, following

HOOKS = {LAUNCHING_TRANSITION, TERMINATING_TRANSITION}


def walk(state, hooked):
    path = [state]
    while after := following(path[-1], hooked):
        path.append(after)
    return path


def test_all_names_are_aws_s():
    service = boto3.client("autoscaling", region_name="eu-central-1").meta.service_model
    assert set(STATES) <= set(service.shape_for("LifecycleState").enum)


def test_the_table_leads_nowhere_else():
    for row in STATES.values():
        assert {row.target, row.next, *row.on_request} - {""} <= set(STATES)


@pytest.mark.parametrize(
    ("state", "hooked", "path"),
    [
        ("Pending", (), ["Pending", "InService"]),
        ("Pending", HOOKS, ["Pending", "Pending:Wait", "Pending:Proceed", "InService"]),
        ("Pending", {TERMINATING_TRANSITION}, ["Pending", "InService"]),
        ("Terminating", (), ["Terminating", "Terminated"]),
        ("Terminating", HOOKS, ["Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminated"]),
        ("EnteringStandby", HOOKS, ["EnteringStandby", "Standby"]),
        ("Detaching", HOOKS, ["Detaching", "Detached"]),
        ("Warmed:Pending", (), ["Warmed:Pending", "Warmed:Stopped"]),
        (
            "Warmed:Pending",
            HOOKS,
            ["Warmed:Pending", "Warmed:Pending:Wait", "Warmed:Pending:Proceed", "Warmed:Stopped"],
        ),
        ("Warmed:Terminating", (), ["Warmed:Terminating", "Warmed:Terminated"]),
    ],
)
def test_without_a_hook_a_transition_passes_through(state, hooked, path):
    assert walk(state, hooked) == path


def test_each_way_ends_in_the_state_that_metadata_shows_before():
    for state, row in STATES.items():
        assert walk(state, HOOKS)[-1] == row.target
        assert STATES[row.target].target == row.target


def test_only_what_is_on_its_way_into_service_or_there_is_capacity():
    assert {s for s, row in STATES.items() if row.capacity} == {
        "Pending",
        "Pending:Wait",
        "Pending:Proceed",
        "InService",
    }
    assert [s for s, row in STATES.items() if row.traffic] == ["InService"]


def test_what_is_there_can_be_terminated_and_what_is_leaving_cannot():
    for state in STATES:
        begins = lifecycle.termination_of(state)
        leaving = lifecycle.is_ending(state) or state in ("Detaching", "Detached")
        assert bool(begins) != leaving, state
        assert not begins or (begins.startswith("Warmed:") == state.startswith("Warmed:"))
