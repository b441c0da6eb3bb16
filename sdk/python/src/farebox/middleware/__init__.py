"""Requests of a web application, counted. Each module needs only the framework it is named after."""
