"""A service with what ``balance`` has no need of: bodies, failures, checks, and requests that take as long as told."""

import time
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from homeport_app.contract import Problem, Service


class Settings(msgspec.Struct, frozen=True):
    folder: Annotated[str, Meta(description="Where the files lie that open gates and break checks.")]


class Line(msgspec.Struct, forbid_unknown_fields=True):
    sku: Annotated[str, Meta(min_length=1)]
    quantity: Annotated[int, Meta(ge=1)]


class Received(msgspec.Struct):
    lines: list[Line]


def wait_while(held: Path) -> None:
    deadline = time.monotonic() + 30
    while held.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{held} was never removed")
        time.sleep(0.01)


def create(settings: Settings) -> Service:
    folder = Path(settings.folder)
    (folder / "create.reached").touch()
    wait_while(folder / "create.held")
    service = Service("sample", "What the tests need")

    @service.route("GET", "/gates/{name}", summary="Answer once the gate is open")
    def gate(name: str) -> dict[str, str]:
        held = folder / f"{name}.held"
        held.touch()
        (folder / f"{name}.reached").touch()
        wait_while(held)
        return {"gate": name}

    @service.route("POST", "/lines", summary="Return what was sent", status=201)
    def lines(body: list[Line]) -> Received:
        return Received(body)

    @service.route("GET", "/failures/{text}", summary="Fail")
    def fail(text: str) -> None:
        raise RuntimeError(text)

    @service.route("GET", "/refusals/{status}", summary="Refuse", problems={409: "As asked."})
    def refuse(status: Annotated[int, Meta(ge=400, le=499)]) -> None:
        raise Problem(status, "As asked.", headers={"Retry-After": "7"}, reason="asked")

    def backend() -> None:
        if (folder / "backend.broken").exists():
            raise ConnectionError("no route to the backend")

    service.check("backend", backend)
    return service
