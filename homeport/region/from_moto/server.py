"""What the region takes from moto's server, and the way in which its own responses get there."""

import importlib
from collections.abc import Callable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

__all__ = [
    "DomainDispatcherApplication",
    "MotoRequestHandler",
    "answer_with",
    "create_backend_app",
    "replace_responses",
]


def answer_with(service: str, answer: Callable[..., Any]) -> None:
    """Let ``answer`` take the requests for a service of moto's; before the server starts.

    Follows the shape of moto's ``urls`` modules: ``url_paths`` maps a path to what answers. It must not be called
    ``dispatch``, unless it is a response class's own: by that name moto expects such a method.
    """
    urls: Any = importlib.import_module(f"moto.{service}.urls")
    urls.url_paths = dict.fromkeys(urls.url_paths, answer)


def replace_responses(service: str, response: Any) -> None:
    """Let ``response``, a subclass of moto's class for the service, answer for it; before the server starts."""
    answer_with(service, response.dispatch)
