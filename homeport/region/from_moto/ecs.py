"""What the region takes from moto's ecs."""

from moto.ecs.responses import EC2ContainerServiceResponse

__all__ = [
    "EC2ContainerServiceResponse",
]
