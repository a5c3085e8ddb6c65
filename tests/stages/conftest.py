"""The fixtures of trainings, for the stages that train."""

from tests.training.conftest import context, fresh, teacher

__all__ = ["context", "fresh", "teacher"]
