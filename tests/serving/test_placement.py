"""The nodes that replicas may be on, as Serve is told."""

from __future__ import annotations

import pytest

from app.serving.deploy import configured
from app.settings import ServingSettings


@pytest.mark.parametrize(("most", "told"), [(0, None), (1, 1)])
def test_replicas_of_a_version_on_one_node(most: int, told: int | None) -> None:
    settings = ServingSettings(max_replicas_per_node=most, node_labels={"role": "serving"})
    replica = configured(settings)._replica_config
    assert replica.max_replicas_per_node == told
    assert replica.ray_actor_options["label_selector"] == {"role": "serving"}
