"""The written form of an address."""

from __future__ import annotations

import pytest

from streams.contract.address import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("pcp/practitioner:8801", Address("pcp", "practitioner", "8801")),
        ("care-coordinator/pool:coordinators", Address("care-coordinator", "pool", "coordinators")),
        ("pcp/practitioner:urn:oid:1.2/3", Address("pcp", "practitioner", "urn:oid:1.2/3")),
    ],
)
def test_address_is_read_back_as_written_even_if_its_id_contains_a_separator(text, address):
    assert Address.parse(text) == address
    assert str(address) == text
    assert Address.of(address.role, address.party) == address


@pytest.mark.parametrize("text", ["", "pcp", "pcp/", "pcp/practitioner"])
def test_text_that_is_no_whole_address_gives_what_there_is(text):
    assert Address.parse(text).role == text.partition("/")[0]
    assert Address.parse(text).id == ""
