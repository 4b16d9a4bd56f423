"""What a run will take, said before anything is spent."""

from .draw_up import Asked, draw_up
from .known import Known
from .permission import FROM, Worker, forbidden, obstacles, unpaid
from .record import Line, Plan, Receiver

__all__ = [
    "FROM",
    "Asked",
    "Known",
    "Line",
    "Plan",
    "Receiver",
    "Worker",
    "draw_up",
    "forbidden",
    "obstacles",
    "unpaid",
]
