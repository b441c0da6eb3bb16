"""Dates in the back office: the same order everywhere in the world, and seconds, which tell movements apart."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i:s"
TIME_FORMAT = "H:i:s"
