"""Tables of cases that one test goes through.

For pytest a row costs about as much as a test. Here a row that passes costs nothing. Each row that fails is reported as a
subtest, with its name and its own traceback, and the following rows still run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from itertools import product
from typing import Any

import pytest


def each(names: str | Sequence[str], rows: Iterable[Any], ids: Callable[[Any], object] | Sequence[str] = repr) -> Callable[[Any], Any]:
    """Run a test for each row, with the same arguments as `pytest.mark.parametrize`, but as one test.

    Several decorators give all combinations. All rows share the fixtures of the test, so a test that changes a fixture with
    function scope must be parametrized instead.
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
