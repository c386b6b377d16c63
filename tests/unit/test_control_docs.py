"""The pages about the control plane say what the code does."""

import argparse
import inspect
import re

from ponton_operator.cluster.events import Event, OperatorEvent
from ponton_operator.plan.environment import Places, front_desk_environment
from ponton_operator.programs import portal
from ponton_operator.programs.local import parser
from ponton_operator.programs.operator import read_settings
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.yamlfile import load
from ponton_operator.selfservice.web.events import PortalEvent
from tests.tools.conditions_doc import PAGE, page

LOCAL = PAGE.with_name("local.md")
OPERATORS = PAGE.with_name("operators.md")


def test_the_page_of_conditions_is_fresh() -> None:
    """docs/conditions.md is what the tables give: run `python -m tests.tools.conditions_doc` after a change."""
    assert page() == PAGE.read_text(encoding="utf-8")


def test_every_event_is_listed() -> None:
    """docs/local.md lists each event once, and no other."""
    listed = re.findall(r"^\| `([a-z_]+)` \|", LOCAL.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(Event) == sorted(listed)


def test_every_event_of_the_operators_is_listed() -> None:
    """docs/operators.md names each event that only operators log, and each variable that they read."""
    text = OPERATORS.read_text(encoding="utf-8")
    assert [] == [event for event in OperatorEvent if f"`{event}`" not in text]
    variables = re.findall(r'"(P[OA-Z]+_[A-Z_]+)"', inspect.getsource(read_settings))
    assert [] == [name for name in variables if f"`{name}`" not in text]


def test_the_page_of_the_portal_names_events_and_variables() -> None:
    """docs/portal.md lists each event of the portal once, and each variable that it reads."""
    text = PAGE.with_name("portal.md").read_text(encoding="utf-8")
    events = text.partition("## Events\n")[2]
    assert list(PortalEvent) == re.findall(r"^\| `([a-z_]+)` \|", events, re.MULTILINE)
    variables = re.findall(r'"(PONTON_[A-Z_]+)"', inspect.getsource(portal.read_config))
    assert variables
    assert [] == [name for name in variables if f"`{name}`" not in text]


def test_events_are_past_and_snake() -> None:
    """Names are snake_case, at least two words."""
    plain = [event for event in Event if not re.fullmatch(r"[a-z]+(_[a-z]+)+", event)]
    assert [] == plain


def test_every_option_is_listed() -> None:
    """docs/local.md names each option of the program."""
    options = [option for action in parser()._actions for option in action.option_strings]
    text = LOCAL.read_text(encoding="utf-8")
    assert [] == [option for option in options if f"`{option}`" not in text and option not in {"-h", "--help"}]
    assert isinstance(parser(), argparse.ArgumentParser)


def test_the_examples_are_good() -> None:
    """The gateway and the account of the page are taken as they stand, and tell the front desk what is listed."""
    text = LOCAL.read_text(encoding="utf-8")
    gateway, account = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    load(BridgeAccount, account)
    told = front_desk_environment(load(BridgeGateway, gateway), 7, "i", Places("s", "t", "u"), {})
    assert [] == [name for name in told if f"`{name}`" not in text]


def test_pages_link_to_pages_that_exist() -> None:
    """No link between the pages of docs/ leads nowhere."""
    links = re.findall(r"\]\(([^)#/]+)\)", LOCAL.read_text(encoding="utf-8") + PAGE.read_text(encoding="utf-8"))
    assert "conditions.md" in links
    assert [] == [link for link in set(links) if not LOCAL.with_name(link).exists()]
