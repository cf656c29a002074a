"""Wiring of the Fynlo point of sale, its leaves, and what ops run."""

from .celery import app as celery_app

__all__ = ["celery_app"]
