"""Random records of every type for property tests. They are derived from the annotations, so that new fields are included."""

import types
import typing

import msgspec
from hypothesis import strategies as st

from streams.avro.schemas import RECORD_OF
from streams.contract.codes import CODES
from streams.contract.instants import EARLIEST, LATEST

TEXT = (
    st.text(max_size=12)
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=20, max_size=90)
    | st.sampled_from(["", "x" * 63, "x" * 64, "é" * 32])
)
LONG = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-3, 3) | st.sampled_from([63, 64, -64, -65, 8191, 8192, 1 << 40])
INSTANT = st.integers(EARLIEST, LATEST) | st.integers(1_600_000_000_000, 1_900_000_000_000) | st.sampled_from([EARLIEST, LATEST, 0, -1])


def of_hint(hint, code_set=None):
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return INSTANT
    if origin in (typing.Union, types.UnionType):
        return st.none() | of_hint(next(arg for arg in args if arg is not type(None)), code_set)
    if origin is tuple and args[-1] is Ellipsis:
        return st.lists(of_hint(args[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(of_hint, args))
    if isinstance(hint, typing.NewType):
        return of_hint(hint.__supertype__)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return of_kind(hint)
    if code_set is not None:
        return st.sampled_from(code_set.wire_codes)
    return {
        str: TEXT,
        bool: st.booleans(),
        int: LONG,
        float: st.floats(allow_nan=False, allow_infinity=False),
        bytes: st.binary(max_size=80),
    }[hint]


def of_kind(kind):
    hints = typing.get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: of_hint(hints[name], CODES.get((kind.__name__, name))) for name in kind.__struct_fields__})


RECORDS = st.one_of([of_kind(kind) for kind in RECORD_OF.values()])
