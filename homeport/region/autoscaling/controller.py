"""The loop that makes groups so: it carries out what the plan says, and decides nothing itself.

Handlers set desired state and wake it. Each pass gathers the facts of every group and plans from what is
there and from nothing else. So a call that failed, or that an interruption lost, is simply planned again
by a later pass.
"""

import logging
import threading

from homeport.region.autoscaling.calls import Calls
from homeport.region.autoscaling.gather import Machines, Targets, gather
from homeport.region.autoscaling.model import Group
from homeport.region.autoscaling.plan import plan
from homeport.region.autoscaling.plan.changes import Change, Explain, ForgetInstance, Note
from homeport.region.autoscaling.plan.steps import Call
from homeport.region.autoscaling.service import Service
from homeport.region.backoff import Backoff
from homeport.region.runner import Runner

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25
"""Between passes while nobody wakes the loop; a pass over a quiet fleet costs microseconds."""
ROUNDS = 10
"""How often one pass plans anew at most: each part of a plan changes the group once, then the next one does."""


class Controller:
    """Runs one thread over all groups of one Auto Scaling service."""

    def __init__(self, service: Service, calls: Calls, machines: Machines, targets: Targets) -> None:
        self._service = service
        self._calls = calls
        self._machines = machines
        self._targets = targets
        self._runner = Runner("autoscaling-step")
        self._runner.done = self.wake
        self._backoff = Backoff()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="autoscaling", daemon=True)
        service.wake = self.wake

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the groups now: something changed."""
        self._wake.set()

    def close(self) -> None:
        """Stop planning and wait for the calls under way; instances stay as they are."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self._runner.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
            self.reconcile()

    def reconcile(self) -> None:
        """Carry out the plan of each group once."""
        for name in list(self._service.model.groups):
            if not self._backoff.ready(name):
                continue
            try:
                with self._service.lock:
                    if group := self._service.model.groups.get(name):
                        self._carry_out(group)
            except Exception as error:
                if self._backoff.failed(name, f"{type(error).__name__}: {error}"):
                    logger.exception("group %s: pass failed, others follow", name)
            else:
                if self._backoff.ok(name):
                    logger.info("group %s: passes go on", name)

    def _carry_out(self, group: Group) -> None:
        facts = gather(group, self._machines, self._targets, self._runner.busy())
        now = self._service.now()
        for _ in range(ROUNDS):
            steps = plan(group, facts, now)
            changes = [step for step in steps if isinstance(step, Change)]
            if not changes:
                break
            for change in changes:
                self._change(group, change)
            if self._service.model.groups.get(group.name) is not group:
                return
        else:
            raise RuntimeError(f"the plan does not come to an end: {changes}")
        for call in steps:
            if isinstance(call, Call):
                self._call(group, call)

    def _change(self, group: Group, change: Change) -> None:
        self._service.apply(group, change)
        if isinstance(change, ForgetInstance):
            self._runner.forget(change.instance_id)
        elif isinstance(change, Explain):
            level = logging.ERROR if change.message else logging.INFO
            logger.log(level, "group %s: %s: %s", group.name, change.instance_id, change.message or "known again")

    def _call(self, group: Group, call: Call) -> None:
        """Make a call in the pool; what keeps it from its end is said in the activity too."""
        instance = group.instances.get(call.key)
        activity_id = instance.activity_id if instance else call.key

        def make() -> None:
            for change in self._calls.make(group, call):
                self._change(group, change)

        def tell(message: str) -> None:
            self._service.apply(group, Note(activity_id, message))

        self._runner.run(call.key, make, tell=tell, label=f"group {group.name}: {call.key}")
