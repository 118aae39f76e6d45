"""The paths that every service answers, declared like a service's own."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import structlog

from homeport_app.contract.openapi import describe
from homeport_app.contract.problems import Problem
from homeport_app.contract.service import Answer, Check, Service
from homeport_app.settings import Settings

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(msgspec.Struct, frozen=True):
    """The answer of ``/healthz`` and of a ready ``/readyz``."""

    status: str


class Version(msgspec.Struct, frozen=True):
    """What runs here."""

    service: str
    environment: str
    revision: Annotated[str, msgspec.Meta(description="Git revision of the code.")]
    image: Annotated[str, msgspec.Meta(description="Digest or id of the image.")]
    built_at: Annotated[str, msgspec.Meta(description="When the image was built, RFC 3339.")]


def add_endpoints(
    service: Service, settings: Settings, is_draining: Callable[[], bool], exposition: Callable[[], bytes]
) -> None:
    """Add the contract's endpoints to ``service``, after its own routes."""

    @service.route("GET", "/healthz", summary="The process answers; no backend is asked")
    def healthz() -> Health:
        return Health("ok")

    @service.route(
        "GET",
        "/readyz",
        summary="Backends can be reached and the process is not draining",
        problems={503: "Not ready; `failing` names the checks."},
    )
    def readyz() -> Health:
        failing = ["draining"] if is_draining() else []
        failing += [name for name, check in service.checks.items() if not _passes(name, check)]
        if failing:
            raise Problem(503, f"Not ready: {', '.join(failing)}.", failing=failing)
        return Health("ready")

    @service.route("GET", "/version", summary="What runs here")
    def version() -> Version:
        return Version(
            service.name,
            settings.environment,
            settings.version_revision,
            settings.version_image,
            settings.version_built_at,
        )

    @service.route("GET", "/metrics", summary="Metrics in Prometheus's text format", content_type="text/plain")
    def metrics() -> Answer:
        return Answer(exposition(), _METRICS_TYPE)

    @service.route("GET", "/openapi.json", summary="This description")
    def openapi() -> dict[str, Any]:
        return described

    described = describe(service, settings.version_revision)


def _passes(name: str, check: Check) -> bool:
    try:
        check()
    except Exception:  # noqa: BLE001 - whatever a backend raises means that it cannot be used
        structlog.get_logger().warning("readiness check failed", check=name, exc_info=True)
        return False
    return True
