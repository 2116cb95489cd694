"""Rules: the first that fits decides; what does not fit is told without free text."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from bayescope.node.config import Route
from bayescope.node.routing import choose_runs
from dicom_files import item
from nodes import RUN

A, B = Path("a"), Path("b")


def header(**elements: object) -> Dataset:
    about = {"Modality": "MG", "BodyPartExamined": "BREAST", "ViewPosition": "MLO", "SOPClassUID": "1.2.840"}
    return item(**about | {"StudyDescription": "Screening Doe^Jane", "SeriesDescription": "R MLO"} | elements)


@pytest.mark.parametrize(
    ("route", "fits"),
    [
        ({}, True),
        ({"modality": ("US", "mg")}, True),
        ({"modality": ("US",)}, False),
        ({"body_part": ("BREAST",)}, True),
        ({"body_part": ("CHEST",)}, False),
        ({"view": ("CC", "MLO")}, True),
        ({"view": ("CC",)}, False),
        ({"sop_class": ("1.2.840",)}, True),
        ({"sop_class": ("1.2",)}, False),
        ({"description": "^screen"}, True),
        ({"description": "mlo$"}, True),
        ({"description": "implant"}, False),
        ({"modality": ("MG",), "view": ("CC",)}, False),
    ],
    ids=str,
)
def test_conditions(route: dict[str, object], fits: bool) -> None:
    assert bool(choose_runs(header(), [Route(**route)], RUN).runs) is fits


def test_a_view_may_be_coded() -> None:
    coded = header(ViewPosition="", ViewCodeSequence=[item(CodeValue="R-10242")])
    assert choose_runs(coded, [Route(view=("CC",))], RUN).runs == (RUN,)


def test_the_first_rule_that_fits_decides() -> None:
    routes = [Route(modality=("US",), runs=(A,)), Route(view=("MLO",), runs=(A, B)), Route()]
    assert choose_runs(header(), routes, RUN).runs == (A, B)
    assert choose_runs(header(ViewPosition="CC"), routes, RUN).runs == (RUN,)


def test_a_rule_without_runs_skips() -> None:
    found = choose_runs(header(), [Route(description="screening", runs=()), Route()], RUN)
    assert (found.runs, found.reason) == ((), "rule 1: not read")


def test_the_reason_names_what_did_not_fit_but_no_free_text() -> None:
    routes = [Route(modality=("US",)), Route(view=("CC",)), Route(description="implant"), Route(body_part=("CHEST",))]
    found = choose_runs(header(BodyPartExamined=None), routes, RUN)
    reason = "no rule fits (rule 1: modality MG; rule 2: view MLO; rule 3: description; rule 4: body part missing)"
    assert (found.runs, found.reason) == ((), reason)
