"""Charging usage anew by a corrected price: tried first, applied once however often it is run, undone exactly."""
