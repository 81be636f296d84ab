"""The webhook's route, with deliveries by MLflow's own code over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import uvicorn
from mlflow.entities.webhook import Webhook, WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus
from mlflow.webhooks import delivery
from mlflow.webhooks.types import ModelVersionAliasCreatedPayload, ModelVersionTagSetPayload

from app.errors import UnauthenticatedError
from app.releases.api.ingress import ControllerReplica, build_api
from app.releases.api.webhook import check
from app.web.keys import Authenticator, hash_key

SECRET = "what MLflow and Tidegate share"
PATH = "/releases/registry-events"
ALIAS: dict[str, Any] = {
    "entity": "model_version_alias",
    "action": "created",
    "timestamp": "2026-01-01T00:00:00+00:00",
    "data": {"name": "flights", "version": "2", "alias": "challenger"},
}


@dataclass
class Watch:
    """Counts hints."""

    is_on: bool = True
    hints: list[float] = field(default_factory=list)

    def hint(self) -> None:
        self.hints.append(time.monotonic())


def api(watch: Watch, secret: str | None) -> Any:
    replica = SimpleNamespace(
        store=None,
        controller=None,
        feed=None,
        authenticator=Authenticator({}, lambda: True, hash_key("admin key")),
        registry=watch,
        webhook_secret=secret,
    )
    return build_api(cast(ControllerReplica, replica))


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def client(watch: Watch) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(api(watch, SECRET)), base_url="http://test")


KEY = {"authorization": "Bearer admin key"}


async def test_with_a_key_it_needs_no_signature(watch: Watch, client: httpx.AsyncClient) -> None:
    heard = await client.post(PATH, json=ALIAS, headers=KEY)
    assert (heard.status_code, heard.json()) == (202, {"looks": True})
    assert len(watch.hints) == 1
    assert (await client.post(PATH, json=ALIAS)).status_code == 401
    assert (await client.post(PATH, json=ALIAS, headers={"x-mlflow-signature": "v1,AAAA"})).status_code == 401
    assert len(watch.hints) == 1


@pytest.mark.parametrize(
    ("entity", "action", "data", "looks"),
    [
        ("model_version_alias", "created", {"alias": "champion"}, False),
        ("model_version_alias", "deleted", {"alias": "challenger"}, False),
        ("model_version_tag", "set", {"key": "tidegate.release.plan"}, True),
        ("model_version_tag", "set", {"key": "tidegate.release"}, False),
        ("model_version", "created", {"tags": {"tidegate.release.plan": "canary"}}, True),
        ("model_version", "created", {"tags": None}, False),
        ("prompt", "created", {}, False),
    ],
)
async def test_only_what_can_ask_for_a_release_makes_a_look(
    watch: Watch, client: httpx.AsyncClient, entity: str, action: str, data: dict[str, Any], looks: bool
) -> None:
    body = {**ALIAS, "entity": entity, "action": action, "data": data}
    heard = await client.post(PATH, json=body, headers=KEY)
    assert (heard.status_code, heard.json()) == (202, {"looks": looks})
    assert bool(watch.hints) == looks


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"{", 400, "body: Invalid JSON"),
        (b'{"entity": "prompt", "action": "created"}', 400, "data: Field required"),
        (b" " * 70_000, 413, "the body has more than 65,536 bytes"),
    ],
)
async def test_a_body_that_is_no_event(client: httpx.AsyncClient, body: bytes, status: int, sentence: str) -> None:
    answer = await client.post(PATH, content=body, headers=KEY)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(sentence)


async def test_events_that_begin_nothing_are_refused(watch: Watch, client: httpx.AsyncClient) -> None:
    watch.is_on = False
    answer = await client.post(PATH, json=ALIAS, headers=KEY)
    assert answer.status_code == 409
    assert "TIDEGATE_RELEASES_REGISTRY_POLL_S is 0" in answer.json()["error"]
    assert watch.hints == []


def test_a_signature_is_of_one_body_one_time_and_one_secret() -> None:
    body = b"{}"
    now = 1_000_000
    headers = {"x-mlflow-timestamp": str(now), "x-mlflow-delivery-id": "d1"}
    headers["x-mlflow-signature"] = delivery._generate_hmac_signature(SECRET, "d1", str(now), "{}")
    check(headers, body, SECRET, now + 299)
    for changed, sent, secret, at in [
        (headers, b"{ }", SECRET, now),
        (headers, body, "another", now),
        ({**headers, "x-mlflow-delivery-id": "d2"}, body, SECRET, now),
        ({**headers, "x-mlflow-timestamp": str(now + 1)}, body, SECRET, now),
        (headers, body, SECRET, now + 301),
        (headers, body, SECRET, now - 301),
    ]:
        with pytest.raises(UnauthenticatedError):
            check(changed, sent, secret, at)


@pytest.fixture
def url(watch: Watch) -> Iterator[str]:
    """A client of the API with the secret."""
    config = uvicorn.Config(api(watch, SECRET), port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def test_what_mlflow_itself_sends_is_understood(url: str, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    alias = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
    tag = WebhookEvent(WebhookEntity.MODEL_VERSION_TAG, WebhookAction.SET)
    session = delivery._create_webhook_session()
    webhook = Webhook("id", "name", url + PATH, [alias, tag], 0, 0, status=WebhookStatus.ACTIVE, secret=SECRET)
    payload = ModelVersionAliasCreatedPayload(name="flights", version="2", alias="challenger")
    answer = delivery._send_webhook_request(webhook, payload, alias, session)
    assert (answer.status_code, answer.json()) == (202, {"looks": True})
    plan = ModelVersionTagSetPayload(name="flights", version="2", key="tidegate.release.plan", value="canary")
    assert delivery._send_webhook_request(webhook, plan, tag, session).json() == {"looks": True}
    assert len(watch.hints) == 2
    unsigned = Webhook("id", "name", url + PATH, [alias], 0, 0, status=WebhookStatus.ACTIVE)
    assert delivery._send_webhook_request(unsigned, payload, alias, session).status_code == 401
