"""The service contract, written once: what every service answers, measures and logs.

A service imports what it needs from here.
"""

from homeport_app.contract.problems import Problem
from homeport_app.contract.service import Service

__all__ = ["Problem", "Service"]
