"""The plan of a run: what it will take, before anything is spent."""

from .assumptions import Assumptions
from .permissions import Worker, forbidden, forbidden_tracker, obstacles, unpaid
from .planner import PlanRequest, build_plan
from .record import Line, Plan, Receiver

__all__ = [
    "Assumptions",
    "Line",
    "Plan",
    "PlanRequest",
    "Receiver",
    "Worker",
    "build_plan",
    "forbidden",
    "forbidden_tracker",
    "obstacles",
    "unpaid",
]
