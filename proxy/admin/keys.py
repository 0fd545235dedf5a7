"""What the admin application holds for its handlers."""

from aiohttp import web

from proxy.admin.desk import Desk

DESK = web.AppKey("desk", Desk)
