"""The start command: ``python -m homeport_app``. Everything else comes from the environment.

``python -m homeport_app settings`` prints the settings' documentation.
"""

import importlib
import os
import pkgutil
import signal
import socket
import sys
from types import ModuleType

import structlog

from homeport_app import logs, services, settings
from homeport_app.contract.application import Application
from homeport_app.contract.endpoints import add_endpoints
from homeport_app.contract.measurements import Measurements
from homeport_app.serving.leader import STOP_SIGNALS, Leader
from homeport_app.serving.listener import ListenError, listen
from homeport_app.serving.metrics import SharedMetrics, registry_and_exposition
from homeport_app.serving.server import Server
from homeport_app.serving.state import Draining
from homeport_app.settings import PREFIX, Settings, SettingsError, service_prefix

_EXIT_FAILED = 1
_EXIT_USAGE = 2


def main(arguments: list[str]) -> int:
    """Run the command; returns its exit status: 0 drained, 1 cannot start, 2 wrong settings or arguments."""
    if arguments == ["settings"]:
        sys.stdout.write(settings.document(_declarations(*_service_names())))
        return 0
    if arguments:
        return _fail(_EXIT_USAGE, ["usage: python -m homeport_app [settings]"])
    try:
        common, own = _read_settings()
    except SettingsError as error:
        return _fail(_EXIT_USAGE, error.faults)
    try:
        listener = listen(common.listen_address, common.port)
    except ListenError as error:
        return _fail(_EXIT_FAILED, [str(error)])
    try:
        shared = SharedMetrics() if common.processes > 1 else None
    except OSError as error:
        reason = f"several processes need a writable temporary folder for their metrics: {error}. Set TMPDIR."
        return _fail(_EXIT_FAILED, [reason])
    _serve(listener, common, own, shared)
    return 0


def _serve(listener: socket.socket, common: Settings, own: object, shared: SharedMetrics | None) -> None:
    # A stop that comes before its handler is there waits for it, in workers too.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    writer = logs.LineWriter()
    logs.configure(writer, common.log_level, service=common.service, environment=common.environment)
    log = structlog.get_logger()
    unknown = settings.unknown_names(_declarations(common.service), os.environ)
    if unknown:
        log.warning("unknown settings are ignored", names=unknown)
    log.info(
        "listening",
        address=common.listen_address,
        port=listener.getsockname()[1],
        processes=common.processes,
        revision=common.version_revision,
    )
    draining = Draining()

    def work(_place: int) -> None:
        _serve_in_this_process(
            listener=listener, common=common, own=own, draining=draining, shared=shared, writer=writer
        )

    if shared is None:
        work(0)
        return
    try:
        Leader(
            work,
            common.processes,
            listener=listener,
            draining=draining,
            shared=shared,
            drain_seconds=common.drain_seconds,
        ).run()
    finally:
        shared.remove()


def _serve_in_this_process(
    *,
    listener: socket.socket,
    common: Settings,
    own: object,
    draining: Draining,
    shared: SharedMetrics | None,
    writer: logs.LineWriter,
) -> None:
    registry, exposition = registry_and_exposition(shared)
    logs_requests = common.log_level in ("debug", "info")
    measurements = Measurements(registry, writer if logs_requests else None, common.service, common.environment)
    service = service_module(common.service).create(own)
    add_endpoints(service, common, lambda: draining.here, exposition)
    server = Server(Application(service, measurements), listener, draining, common)

    def end(*_: object) -> None:
        if shared is None:
            draining.announce_everywhere()  # this process is the whole instance
        server.begin_drain()

    for number in STOP_SIGNALS:
        signal.signal(number, end)
    writer.start()  # like Waitress's threads before it, so that the main thread alone takes signals
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    try:
        server.run()
    finally:
        writer.close()


def _read_settings() -> tuple[Settings, object]:
    """The settings of every service, and the chosen service's own; all faults of both at once."""
    faults: list[str] = []
    common = own = None
    try:
        common = settings.read(Settings, os.environ)
    except SettingsError as error:
        faults += error.faults
    name = os.environ.get(f"{PREFIX}SERVICE", "")
    if name in _service_names():
        try:
            own = settings.read(service_module(name).Settings, os.environ, service_prefix(name))
        except SettingsError as error:
            faults += error.faults
    elif name:
        faults.append(f"{PREFIX}SERVICE: no service {name!r}; there is {', '.join(_service_names())}.")
    if common is None or faults:
        raise SettingsError(faults)
    return common, own


def _declarations(*names: str) -> dict[str, type]:
    return {PREFIX: Settings} | {service_prefix(name): service_module(name).Settings for name in names}


def _service_names() -> list[str]:
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(services.__path__))


def service_module(service: str) -> ModuleType:
    """The module of a service by its name in the catalogue."""
    return importlib.import_module(f"{services.__name__}.{service.replace('-', '_')}")


def _fail(status: int, lines: list[str]) -> int:
    sys.stderr.write("".join(f"homeport_app: {line}\n" for line in lines))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
