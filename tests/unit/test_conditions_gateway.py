"""Tables of a gateway's conditions are whole, and a condition is made of a finding."""

import re

import pytest

from ponton_operator.resources.base import Truth, moment
from ponton_operator.resources.conditions_gateway import (
    GATEWAY_ABNORMAL,
    GATEWAY_MEANING,
    Finding,
    GatewayType,
    gateway_condition,
)

KUBERNETES_REASON = re.compile(r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")  # metav1.Condition


def test_every_type_of_a_gateway_has_a_meaning() -> None:
    """Each type is explained, and the abnormal ones are types."""
    assert set(GatewayType) == GATEWAY_MEANING.keys()
    assert set(GatewayType) > GATEWAY_ABNORMAL


@pytest.mark.parametrize("kind", GatewayType)
def test_every_type_can_be_found(kind: GatewayType) -> None:
    """A normal condition can be true and not true, an abnormal one only true; no reason stands twice in a type."""
    rows = [finding.value for finding in Finding if finding.value.type is kind]
    truths = {row.truth for row in rows}
    assert ({Truth.TRUE} == truths) if kind in GATEWAY_ABNORMAL else ({Truth.TRUE, Truth.FALSE} <= truths)
    assert len(rows) == len({row.reason for row in rows})


@pytest.mark.parametrize("finding", Finding)
def test_every_finding_is_a_reason_and_a_sentence(finding: Finding) -> None:
    """Every reason may stand in a condition of Kubernetes, and every sentence is one."""
    assert KUBERNETES_REASON.match(finding.value.reason)
    assert re.fullmatch(r"(The|[A-Z]|spec\.).*[^.]\.", finding.value.sentence)


def test_a_condition_keeps_its_time_until_it_turns() -> None:
    """Another reason for the same truth is no turn; a sentence may be added."""
    first = gateway_condition(Finding.PROSODY_AWAY, None, 1.0, generation=3)
    assert ("ProsodyReachable", "False", "Unreachable", 3) == (
        first.type,
        first.status,
        first.reason,
        first.observed_generation,
    )
    second = gateway_condition(Finding.PROSODY_REFUSES, first, 2.0, more="It says: no.")
    third = gateway_condition(Finding.PROSODY_ANSWERS, second, 3.0)
    assert [moment(1.0), moment(1.0), moment(3.0)] == [c.last_transition_time for c in (first, second, third)]
    assert second.message == f"{Finding.PROSODY_REFUSES.value.sentence} It says: no."
