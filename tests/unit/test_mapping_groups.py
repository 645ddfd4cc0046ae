from __future__ import annotations

from typing import Any

from gateway import hl7v2
from gateway.mapping.groups import Instance, Shape

# ORU_R01 in small: patients, each with orders, each with observations; specimens below an order
SPECIMEN = Shape("PATIENT.ORDER.SPECIMEN", ("SPM",), ("SPM", "NTE"), ())
ORDER = Shape("PATIENT.ORDER", ("ORC", "OBR"), ("ORC", "OBR", "OBX"), (SPECIMEN,))
PATIENT = Shape("PATIENT", ("PID",), ("PID", "PV1"), (ORDER,))
ROOT = Shape("", (), ("MSH", "DSC"), (PATIENT,))


def grouped(*names: str) -> Any:
    message = hl7v2.read("\r".join(["MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5.1", *(f"{n}|1" for n in names)]).encode())
    return tree(Instance.of(ROOT, message.segments))


def tree(instance: Instance) -> Any:
    own = {name: len(found) for name, found in instance.segments.items()}
    return own, [tree(below) for below in instance.below]


def test_a_group_begins_anew_at_its_first_segment() -> None:
    assert grouped("PID", "OBR", "OBX", "OBX", "OBR", "OBX") == (
        {"MSH": 1},
        [({"PID": 1}, [({"OBR": 1, "OBX": 2}, []), ({"OBR": 1, "OBX": 1}, [])])],
    )


def test_its_first_segments_follow_each_other_within_one_instance() -> None:
    assert grouped("PID", "ORC", "OBR", "OBX", "ORC", "OBR") == (
        {"MSH": 1},
        [({"PID": 1}, [({"ORC": 1, "OBR": 1, "OBX": 1}, []), ({"ORC": 1, "OBR": 1}, [])])],
    )


def test_others_may_stand_between_its_first_segments_but_no_group_of_its_own() -> None:
    assert grouped("PID", "ORC", "OBX", "OBR", "OBX", "OBR") == (
        {"MSH": 1},
        [({"PID": 1}, [({"ORC": 1, "OBR": 1, "OBX": 2}, []), ({"OBR": 1}, [])])],
    )
    assert grouped("PID", "ORC", "SPM", "OBR") == (
        {"MSH": 1},
        [({"PID": 1}, [({"ORC": 1}, [({"SPM": 1}, [])]), ({"OBR": 1}, [])])],
    )


def test_a_deeper_group_ends_where_an_outer_segment_comes() -> None:
    assert grouped("PID", "OBR", "SPM", "NTE", "OBX", "SPM", "PID", "PV1", "DSC") == (
        {"MSH": 1, "DSC": 1},
        [
            ({"PID": 1}, [({"OBR": 1, "OBX": 1}, [({"SPM": 1, "NTE": 1}, []), ({"SPM": 1}, [])])]),
            ({"PID": 1, "PV1": 1}, []),
        ],
    )


def test_segments_of_no_row_belong_nowhere_and_end_nothing() -> None:
    assert grouped("PID", "OBR", "ZZZ", "OBX") == ({"MSH": 1}, [({"PID": 1}, [({"OBR": 1, "OBX": 1}, [])])])
    assert grouped("OBX") == ({"MSH": 1}, [])
