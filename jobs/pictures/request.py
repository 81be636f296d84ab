"""The way of a request, from the client through HAProxy and a gateway replica to a version and back."""

from __future__ import annotations

from jobs.pictures.drawing import Arrow, Box, Caption, Drawing

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("admit", ("key, scope,", "rate limit")),
    ("decode", ("V2, V1, MLflow,", "gRPC")),
    ("pick", ("version by hash", "of the sticky key")),
    ("features", ("one MGET for all", "views and entities")),
    ("cache", ("the answer may", "be there already")),
    ("call", ("deadline, retry,", "fall-over, breaker")),
)
"""Steps of a request inside a gateway replica, in their order."""
LATER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("event", ("Redis stream,", "one per prediction")),
    ("metrics", ("Ray, Prometheus",)),
    ("samples", ("losses per second,", "for the judge")),
    ("mirror", ("a copy for a", "shadow release")),
)
"""Work that follows the reply, off the request's path."""

_WIDTH, _HEIGHT, _GAP, _TOP = 130, 70, 16, 46


def draw() -> Drawing:
    """The picture."""
    pitch = _WIDTH + _GAP
    parts: list[Box | Arrow | Caption] = [
        Box("client", 10, _TOP, 84, _HEIGHT),
        Arrow(((94, _TOP + 35), (112, _TOP + 35))),
        Box("HAProxy", 112, _TOP, 100, _HEIGHT, ("Serve's own,", "one per node")),
        Arrow(((212, _TOP + 35), (240, _TOP + 35))),
    ]
    left = 240
    inside = len(STEPS) * pitch + _GAP
    parts.insert(0, Box("", left - 10, 14, inside + 4, 214, (), "ours"))
    parts.append(Caption("gateway replica (autoscaled)", left + inside // 2, 34))
    for place, (name, notes) in enumerate(STEPS):
        x = left + 4 + place * pitch
        parts.append(Box(name, x, _TOP, _WIDTH, _HEIGHT, notes))
        if place + 1 < len(STEPS):
            parts.append(Arrow(((x + _WIDTH, _TOP + 35), (x + pitch, _TOP + 35))))
    end = left + 4 + len(STEPS) * pitch - _GAP
    versions = end + 48
    for place, (name, note) in enumerate((("champion", "weight 0.9"), ("challenger", "weight 0.1"))):
        y = 22 + place * 66
        parts.append(Box(name, versions, y, 130, 54, (note,), "end"))
        parts.append(Arrow(((end, _TOP + 35), (versions, y + 27))))
    parts.append(Caption("one Serve application each", versions + 65, 158))
    first = left + 4 + pitch
    for place, (name, notes) in enumerate(LATER):
        x = first + place * pitch
        parts.append(Box(name, x, 148, _WIDTH, 64, notes))
        parts.append(
            Arrow(
                (
                    (end - _WIDTH // 2, _TOP + _HEIGHT),
                    (end - _WIDTH // 2, 132),
                    (x + _WIDTH // 2, 132),
                    (x + _WIDTH // 2, 148),
                ),
                "later",
            )
        )
    table = Box("route table in Redis", left + 4, 250, 220, 44, ("weights by revision, followed in ms",))
    rows = Box("feature rows in Redis", left + 4 + 2 * pitch, 250, 220, 44, ("online store, packed rows",))
    control = Box("release controller", left + 4 + 4 * pitch, 250, 220, 44, ("observes, judges, sets weights",))
    parts += [table, rows, control]
    parts.append(
        Arrow(
            (
                (left + 4 + 4 * pitch + 110, 250),
                (left + 4 + 4 * pitch + 110, 240),
                (left + 4 + 110, 240),
                (left + 4 + 110, 250),
            ),
            "later",
        )
    )
    for box in (table, rows):
        up = box.x + 40
        parts.append(Arrow(((up, box.y), (up, 230))))
    return Drawing(versions + 160, 306, "The way of a request through Tidegate", tuple(parts))
