"""What a run will take, said before anything is spent."""

from .assumptions import Known
from .permissions import FROM, Worker, forbidden, obstacles, unpaid
from .planner import Asked, build_plan
from .record import Line, Plan, Receiver

__all__ = [
    "FROM",
    "Asked",
    "Known",
    "Line",
    "Plan",
    "Receiver",
    "Worker",
    "build_plan",
    "forbidden",
    "obstacles",
    "unpaid",
]
