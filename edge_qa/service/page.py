"""The page at `/`: one file, which the browser may run nothing beside, and which asks nobody but this service."""

import base64
import hashlib
import re
from importlib.resources import files

from edge_qa.errors import missing_extra

try:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
except ModuleNotFoundError as error:
    raise missing_extra(error, "serve") from None


def page_route() -> Route:
    """Return the route of the page."""
    page = files("edge_qa.service").joinpath("page.html").read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": content_security_policy(page), "Referrer-Policy": "no-referrer"}

    async def show(request: Request) -> Response:
        return Response(page, headers=headers, media_type="text/html")

    return Route("/", show)


def content_security_policy(page: str) -> str:
    """Return a policy that lets the page's own script and style work, and nothing else load or run."""
    script, style = (
        " ".join(f"'{_hash(content)}'" for content in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL))
        for tag in ("script", "style")
    )
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
