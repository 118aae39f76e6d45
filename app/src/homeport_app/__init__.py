"""The services of a Homeport fleet: one package, one contract, one module a service."""
