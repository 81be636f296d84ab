"""What Kubernetes takes as a name or a label (k8s.io/apimachinery/pkg/util/validation)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cluster.kube.rules.finding import Finding

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL, _SUBDOMAIN_LENGTH = 63, 253

LABEL_KEY = (
    "up to 63 letters, digits, '-', '_', '.', letter or digit first and last, at most one 'dns.prefix/' before"
)
LABEL_VALUE = "empty, or up to 63 letters, digits, '-', '_', '.', letter or digit first and last"


def is_label_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= _SUBDOMAIN_LENGTH and _SUBDOMAIN.fullmatch(prefix)):
        return False
    return len(name) <= _LABEL and _NAME.fullmatch(name) is not None


def is_label_value(value: str) -> bool:
    return value == "" or (len(value) <= _LABEL and _NAME.fullmatch(value) is not None)


def is_dns_1123_label(name: str) -> bool:
    return len(name) <= _LABEL and _DNS_1123.fullmatch(name) is not None


def is_dns_1035_label(name: str) -> bool:
    return len(name) <= _LABEL and _DNS_1035.fullmatch(name) is not None


def name_findings(name: str, longest: int) -> Iterator[Finding]:
    """The operator makes names of this one, so it must be short, and it becomes a Service's name, so DNS-1035."""
    if len(name.encode()) > longest:
        yield Finding("metadata.name", name, f"at most {longest} characters (it has {len(name)})")
    if not is_dns_1035_label(name):
        yield Finding(
            "metadata.name", name, "lower-case letters, digits and '-', a letter first, no '-' last (DNS-1035)"
        )
