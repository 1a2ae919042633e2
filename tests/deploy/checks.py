"""Checks with a name, all of the same subject. One that cannot look at its subject has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Subject = TypeVar("Subject")


class Checks(dict[str, Callable[[Subject], Iterator[str]]], Generic[Subject]):
    def named(self, name: str) -> Callable[[Callable[[Subject], Iterator[str]]], Callable[[Subject], Iterator[str]]]:
        def register(function: Callable[[Subject], Iterator[str]]) -> Callable[[Subject], Iterator[str]]:
            self[name] = function
            return function

        return register

    def run(self, subject: Subject) -> dict[str, list[str]]:
        """Problems by the name of the check; an empty list is a pass."""
        results = {}
        for name, function in self.items():
            try:
                results[name] = list(function(subject))
            except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
                results[name] = [f"{type(error).__name__}: {error}"]
        return results
