"""The checklist of a deployment: every item is a function here, or a question to a person.

`before.py` is asked by check_deploy, `after.py` by verify_deployment; deploy/CHECKLIST.md is made from both.
"""

import time
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError

PASS, FAIL, SKIP = "pass", "fail", "skip"


class Failed(Exception):
    """The item is not as it must be; the message says what to do."""


class Skipped(Exception):
    """The item cannot be looked at from here, or does not apply; the message says why."""


@dataclass(frozen=True)
class Item:
    """One box. Without `look` only a person can tick it, by --confirm NAME."""

    name: str
    title: str
    look: Callable[[Any], str] | None = None


@dataclass(frozen=True)
class Result:
    name: str
    status: str
    detail: str
    seconds: float


@dataclass
class Checklist:
    """The items, in the order in which they are asked."""

    items: list[Item] = field(default_factory=list)

    def check(self, name: str, title: str) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
        """Register a function that returns what it found, or raises Failed or Skipped."""

        def register(look: Callable[[Any], str]) -> Callable[[Any], str]:
            self.items.append(Item(name, title, look))
            return look

        return register

    def ask(self, name: str, title: str) -> None:
        self.items.append(Item(name, title))

    @property
    def questions(self) -> list[str]:
        return [item.name for item in self.items if item.look is None]

    def run(
        self, context: Any, *, confirmed: Container[str] = (), told: Callable[[Result], None]
    ) -> list[Result]:
        results = []
        for item in self.items:
            clock = time.monotonic()
            status, detail = _ask(item, context, item.name in confirmed)
            results.append(Result(item.name, status, detail, round(time.monotonic() - clock, 2)))
            told(results[-1])
        return results


def _ask(item: Item, context: Any, is_confirmed: bool) -> tuple[str, str]:
    if item.look is None:
        return (
            (PASS, "confirmed by a person")
            if is_confirmed
            else (SKIP, f"a person knows: --confirm {item.name}")
        )
    try:
        return PASS, item.look(context)
    except Skipped as reason:
        return SKIP, str(reason)
    except Failed as problem:
        return FAIL, str(problem)
    except DatabaseError as error:
        return FAIL, f"the database refuses or does not answer: {str(error).strip().splitlines()[0]}"


def summary(results: list[Result]) -> tuple[str, dict[str, Any]]:
    """A line for people and the document for machines."""
    count = {status: sum(r.status == status for r in results) for status in (PASS, FAIL, SKIP)}
    told = f"{count[PASS]} passed, {count[FAIL]} failed, {count[SKIP]} skipped."
    if failed := [r.name for r in results if r.status == FAIL]:
        told += f" Failed: {', '.join(failed)}."
    return told, {"counts": count, "checks": [vars(result) for result in results]}
