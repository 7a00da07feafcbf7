"""Tables of cases that one test goes through.

A row costs pytest about as much as a test when it is one. Here the rows that pass cost nothing, and each row that fails is
reported as a subtest: by its name, with its own traceback, and the rows after it still run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from itertools import product
from typing import Any

import pytest


def each(names: str | Sequence[str], rows: Iterable[Any], ids: Callable[[Any], object] | Sequence[str] = repr) -> Callable[[Any], Any]:
    """Run a test for each row, as `pytest.mark.parametrize` does with the same arguments, but as one test.

    Several of them give every combination. The rows share the fixtures of the test: a test that changes one of function scope
    must be parametrized instead.
    """
    columns = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    table = []
    for number, row in enumerate(rows):
        values = (row,) if len(columns) == 1 else tuple(row)
        name = "-".join(str(ids(value))[:80] for value in values) if callable(ids) else ids[number]
        table.append((name, dict(zip(columns, values, strict=True))))
    assert table, "a table without rows checks nothing"

    def decorated(test: Any) -> Any:
        assert not inspect.iscoroutinefunction(test), "a test with an event loop must be parametrized"
        body, tables, given = getattr(test, "of_tables", (test, (), ()))
        tables, given = (table, *tables), (*columns, *given)

        @wraps(body)
        def through_all(subtests: pytest.Subtests, **fixtures: Any) -> None:
            __tracebackhide__ = True
            for combination in product(*tables):
                values = {column: value for _, row in combination for column, value in row.items()}
                try:
                    body(**fixtures, **values)
                except (Exception, pytest.fail.Exception):
                    with subtests.test("-".join(name for name, _ in combination)):
                        raise

        fixtures = [p.name for p in inspect.signature(body).parameters.values() if p.name not in given]
        through_all.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("subtests", *fixtures)]
        )
        through_all.of_tables = body, tables, given  # type: ignore[attr-defined]
        return through_all

    return decorated
