"""Every write of the advice."""

from advice.services.what_if import forget_what_ifs, start_what_if, work_off_what_ifs

__all__ = ["forget_what_ifs", "start_what_if", "work_off_what_ifs"]
