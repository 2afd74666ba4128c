"""The scheduler: macro-operations placed by space-time reservation."""

from tsp.sim.schedule.operation import Operation, ScheduleError
from tsp.sim.schedule.table import Schedule

__all__ = ["Operation", "Schedule", "ScheduleError"]
