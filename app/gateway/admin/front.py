"""The route tables as a front. A change of weights has no deadline: it answers once every gateway replica follows."""

from __future__ import annotations

from app.gateway.admin.route_tables import router
from app.gateway.front import Front, PublicPath

ROUTE_TABLES = Front("route table", (PublicPath("/routes"),), router=router, has_deadline=False)
