"""The id of a request in the log and the audit."""

from __future__ import annotations

import uuid

from gateway.interactions import access_log


def test_each_request_has_a_random_uuid_of_its_own() -> None:
    made = [access_log._request_id() for _ in range(1000)]
    read = [uuid.UUID(text) for text in made]
    assert [str(one) for one in read] == made
    assert {(one.version, one.variant) for one in read} == {(4, uuid.RFC_4122)}
    assert len(set(made)) == len(made)
    assert len({one.hex[:12] for one in read}) == len({one.hex[20:] for one in read}) == len(made)
