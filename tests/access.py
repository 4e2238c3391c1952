"""What a page is for those who do not see or point as others do: names and help of its controls, contrast, the order of Tab.

Serves the tests of single parts and of the whole page; nothing here knows what is on it.
"""

from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page

CONTROLS = {"button", "checkbox", "combobox", "listbox", "menuitem", "radio", "searchbox", "slider", "spinbutton", "switch", "tab", "textbox", "link"}
CONTROLS |= {"DisclosureTriangle"}
"""Roles of the accessibility tree that people operate; Chromium's names."""
ASK = Path(__file__).with_suffix(".js").read_text(encoding="utf-8").rstrip()


def controls(page: Page) -> list[dict[str, str]]:
    """All controls of the page's accessibility tree: role, name, help and where they are."""
    session = page.context.new_cdp_session(page)
    try:
        session.send("DOM.enable")
        session.send("Accessibility.enable")
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        return [_told(session, node) for node in nodes if not node["ignored"] and node["role"]["value"] in CONTROLS]
    finally:
        session.detach()


def missing_help(page: Page) -> list[str]:
    """Controls without a name, or without a line of help: each with where it is; empty for a page as it should be."""
    found = []
    for control in controls(page):
        lacks = [what for what in ("name", "help") if not control[what]]
        if lacks:
            found.append(f"{control['role']} {control['name']!r} has no {' and no '.join(lacks)}: {control['where']}")
    return found


def low_contrast(page: Page, text: float = 4.5, edge: float = 3.0) -> list[str]:
    """Text that stands out too little from what is behind it, and fields whose edge does; what is off is left out."""
    found = page.evaluate(f"(bounds) => ({ASK}).contrast(bounds)", {"text": text, "edge": edge})
    return sorted({f"{ratio}: {where}: {what}" for ratio, where, what in found})


def cut(page: Page) -> list[str]:
    """Areas that stand out of the window, and whether the page itself scrolls."""
    return page.evaluate(f"() => ({ASK}).cut()")


def focused(page: Page) -> dict[str, Any]:
    """What has the focus, inside whatever shadow roots: tag, role, name, value, area, whether it is shown and ringed."""
    return page.evaluate(f"() => ({ASK}).focus()")


def tab_to(page: Page, wanted: str, most: int = 150) -> dict[str, Any]:
    """Press Tab until something whose name begins with `wanted` has the focus."""
    passed = []
    for _ in range(most):
        page.keyboard.press("Tab")
        now = focused(page)
        if now["name"].startswith(wanted):
            return now
        passed.append(now["name"][:30])
    raise AssertionError(f"{wanted!r} is not reached with Tab: {passed}")


def _told(session: CDPSession, node: dict[str, Any]) -> dict[str, str]:
    element = session.send("DOM.resolveNode", {"backendNodeId": node["backendDOMNodeId"]})["object"]["objectId"]

    def ask(question: str) -> str:
        function = f"function () {{ return ({ASK}).{question}(this); }}"
        return session.send("Runtime.callFunctionOn", {"objectId": element, "functionDeclaration": function, "returnByValue": True})["result"]["value"]

    told = {key: str(node.get(key, {}).get("value", "")).strip() for key in ("role", "name", "description")}
    return {**told, "help": told["description"] or ask("help"), "where": ask("where")}
