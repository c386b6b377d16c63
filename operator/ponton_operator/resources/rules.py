"""Rules of the resources: each is said once, and holds in the API server (CEL) and in pydantic with the same sentence.

Called by the models, as part of a field's type or in a model's RULES. A pattern has to mean the same to RE2, which CEL
uses, and to Python: explicit ASCII classes, no look-around, nothing that differs by the Unicode version.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_network
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

KEYWORD: Final = "x-kubernetes-validations"
_MOST: Final = 2**63 - 1  # a quantity above is taken as this, as Kubernetes does
_SUFFIXES: Final = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{name: Decimal(1000) ** power for power, name in enumerate(("k", "M", "G", "T"), 1)},
    **{name: Decimal(1024) ** power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti"), 1)},
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `cel` over `self`, the sentence for who breaks it, and `holds`, the same in Python.

    Without `holds` it compares with what was before (`oldSelf`), which only the API server knows. As metadata of a
    field's type it holds for the field.
    """

    cel: str
    sentence: str
    holds: Callable[[Any], bool] | None = None

    @property
    def validation(self) -> dict[str, str]:
        """Give it as an item of x-kubernetes-validations."""
        return {"rule": self.cel, "message": self.sentence}

    def check(self, value: Any) -> Any:  # noqa: ANN401  # whatever the field holds
        """Give the value back if the rule holds, else raise what pydantic makes a ValidationError of."""
        if self.holds is not None and not self.holds(value):
            raise PydanticCustomError("rule", self.sentence)
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the field's own type (pydantic's protocol for metadata)."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the CEL rule to the field's schema."""
        return with_rules(handler(core), (self,))


def with_rules(schema: JsonSchemaValue, rules: tuple[Rule, ...]) -> JsonSchemaValue:
    """Give a schema with more rules."""
    return {**schema, KEYWORD: [*schema.get(KEYWORD, []), *(rule.validation for rule in rules)]} if rules else schema


def shape(pattern: str, sentence: str) -> Rule:
    """Make the rule that a text as a whole has the shape of a pattern.

    >>> shape("^[a-z]+$", "small letters only").cel
    'self.matches("^[a-z]+$")'
    """
    # A string of JSON is one of CEL.
    return Rule(f"self.matches({json.dumps(pattern)})", sentence, lambda text: bool(re.fullmatch(pattern, text)))


def keys_shaped(pattern: str, sentence: str) -> Rule:
    """Make the rule that all keys of a map have the shape of a pattern."""
    return Rule(
        f"self.all(key, key.matches({json.dumps(pattern)}))",
        sentence,
        lambda found: all(re.fullmatch(pattern, key) for key in found),
    )


def amount(quantity: str) -> Decimal:
    """Give a quantity of Kubernetes as a number.

    >>> amount("1.5Ki")
    Decimal('1536.0')

    Raises KeyError for an unknown suffix.
    """
    number = quantity.rstrip("kKMGTim")
    return min(Decimal(number) * _SUFFIXES[quantity[len(number) :]], Decimal(_MOST))


def _memory_fits(sizes: Any) -> bool:  # noqa: ANN401  # any model with these fields
    return amount(sizes.memory_request) <= amount(sizes.memory_limit)


MEMORY_FITS: Final = Rule(
    # What is no quantity has its own rule; and a default {} is judged before it is filled.
    "!(has(self.memoryRequest) && has(self.memoryLimit) && isQuantity(self.memoryRequest) && "
    "isQuantity(self.memoryLimit)) || quantity(self.memoryRequest).compareTo(quantity(self.memoryLimit)) <= 0",
    "memoryRequest must not be more than memoryLimit",
    _memory_fits,
)

REPLICAS_ASCEND: Final = Rule(
    "!(has(self.minReplicas) && has(self.maxReplicas)) || self.minReplicas <= self.maxReplicas",
    "minReplicas must not be more than maxReplicas",
    lambda portal: bool(portal.min_replicas <= portal.max_replicas),
)


def _is_network(text: str) -> bool:
    try:
        network = ip_network(text)
    except ValueError:
        return False
    return network.version == 4 or network.network_address.ipv4_mapped is None  # noqa: PLR2004  # IPv4


# What one side would take and the other not: a zone, a leading zero in the prefix, an IPv4 network in IPv6's clothes.
_RANGE: Final = "^[0-9a-fA-F:.]+/(0|[1-9][0-9]{0,2})$"
NETWORK: Final = Rule(
    f'self.matches("{_RANGE}") && isCIDR(self) && cidr(self) == cidr(self).masked()',
    "write an address range like 203.0.113.0/24 or 2001:db8::/32, without bits beyond its prefix",
    lambda text: bool(re.fullmatch(_RANGE, text)) and _is_network(text),
)
ASCENDING_TO_ALL: Final = Rule(
    "self.size() > 0 && self.isSorted() && self.all(x, self.exists_one(y, x == y)) && self[self.size() - 1] == 100",
    "percentages must ascend and end with 100, for example [5, 25, 100]",
    lambda found: bool(found) and list(found) == sorted(set(found)) and found[-1] == 100,  # noqa: PLR2004  # percent
)
NAMES_UNIQUE: Final = Rule(
    "self.all(x, self.exists_one(y, x.name == y.name))",
    "every name may stand only once",
    lambda found: len(found) == len({each.name for each in found}),
)
SOME_LOGIN: Final = Rule(
    "!has(self.xmppLogin) || self.xmppLogin || has(self.oidc)",
    "without xmppLogin and without oidc nobody could log in",
    lambda portal: portal.xmpp_login or portal.oidc is not None,
)
