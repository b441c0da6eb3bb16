"""Meters: what is counted, how, and how much it comes to.

``grammar`` reads a meter's definition, ``compiling`` turns it into SQL and ``matching`` into Python, ``quantities`` and
``readings`` ask the events.
"""
