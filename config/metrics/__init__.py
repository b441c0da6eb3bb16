"""Figures for Prometheus: what the processes do, and what stands in the books."""
