"""The services: a module each, named as in ``services.yaml`` with ``_`` for ``-``.

A module holds ``Settings``, a struct of what only this service is told, and ``create``, which takes it and returns
the service. Nothing else has to know of it.
"""
