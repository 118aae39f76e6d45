"""Real servers and load balancers for the tests of this folder."""

import random
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from homeport.region.haproxy.model import Forward, HealthCheck, Listener, LoadBalancer, Rule, Target, TargetGroup

GROUP = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/balance/6d0ecf831eec9f09"
BALANCER = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/main/50dc6c495c0c9188"


class App:
    """A small real HTTP server whose answers a test steers."""

    def __init__(self, address, port=0):
        app = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.headers["User-Agent"] == "ELB-HealthChecker/2.0":
                    app.checks += 1
                    self.answer(app.check_status, b"")
                    return
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with app.lock:
                    app.requests.append((self.command, self.path))
                    app.headers.append(self.headers)
                if self.path.startswith("/slow"):
                    app.entered.set()
                    app.gate.wait(20)
                    if app.dying:
                        self.die()
                        return
                self.answer(200, app.address.encode(), app.response_headers)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names that http.server calls

            def answer(self, status, body, headers=()):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def die(self):
                self.close_connection = True
                if app.dying == "half an answer":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-")
                if app.dying == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                else:
                    self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self.lock = threading.Lock()
        self.requests, self.headers, self.checks = [], [], 0
        self.check_status, self.response_headers = 200, ()
        self.dying = ""
        self.entered, self.gate = threading.Event(), threading.Event()
        self.server = Server((address, port), Handler)
        self.address, self.port = self.server.server_address
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Place:
    """Addresses and ports that no other test uses."""

    def __init__(self):
        self.prefix = f"127.{random.randint(100, 250)}.{random.randint(0, 255)}"
        self.address = f"{self.prefix}.1"
        self.port = self.free_port()
        self.apps = []

    def free_port(self):
        with socket.create_server((self.address, 0)) as probe:
            return probe.getsockname()[1]

    def app(self, port=0):
        app = App(f"{self.prefix}.{len(self.apps) + 2}", port)
        self.apps.append(app)
        return app

    def dead_target(self):
        with socket.create_server((f"{self.prefix}.250", 0)) as probe:
            return Target("i-dead", f"{self.prefix}.250", probe.getsockname()[1], "a")

    def load_balancer(self, targets=(), rules=(), **group):
        """Return a balancer whose one listener forwards to one group unless a rule says otherwise."""
        check = {"interval": 10, "unhealthy_threshold": 2, "healthy_threshold": 2} | group.pop("check", {})
        one = TargetGroup(GROUP, "balance", "HTTP", 8000, HealthCheck(**check), tuple(targets), **group)
        default = Rule("default", 99999, (), Forward(((GROUP, 1),)))
        listener = Listener("listener", self.port, "HTTP", (*rules, default))
        return LoadBalancer(BALANCER, "main", self.address, (listener,), (one,))


def target(app, number=None, **changes):
    return Target(f"i-{number or app.address.rpartition('.')[2]}", app.address, app.port, "a", **changes)


class Records:
    def __init__(self):
        self.entries = {}

    def record(self, kind, entry_id, pid, address):
        self.entries[kind, entry_id] = (pid, address)

    def forget(self, kind, entry_id):
        self.entries.pop((kind, entry_id), None)
