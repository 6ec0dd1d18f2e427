#!/usr/bin/env python3
"""Fails when a file in src/ includes a room that its own room may not know.

The table is the house's plan: a room's level and the rooms it may include (`base` always; not transitive).
usage: check_layers.py [REPOSITORY]
"""
import pathlib
import re
import sys

MAY_INCLUDE = {
    "base": "",
    "json": "",
    "net": "",
    "tensor": "",
    "chat": "",
    "store": "",
    "text": "json chat",
    "kernels": "tensor",
    "kv": "tensor",
    "policy": "chat",
    "providers": "chat json net",
    "ledger": "chat store json",
    "hub": "json net",
    "grammar": "text json",
    "model": "kernels kv tensor json",
    "router": "chat policy ledger",
    "engine": "model kv kernels tensor grammar text chat",
    "tune": "model kernels text",
    "plan": "ledger chat hub",
    "evals": "ledger chat hub",
    "jobs": "store chat",
    "api": "chat json net",
    "server": "*",
    "cli": "*",
}
# policy makes the permits that net consumes: the one header that both must see.
EXCEPTIONS = {("policy", "net/permit.h")}
INCLUDE = re.compile(r'^\s*#\s*include\s+"(([a-z_]+)/[^"]+)"')


def main() -> int:
    top = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    wrong = []
    for path in sorted(p for p in (top / "src").rglob("*") if p.suffix in (".h", ".cpp", ".cu")):
        room = path.relative_to(top / "src").parts[0]
        if room not in MAY_INCLUDE:
            wrong.append(f"{path}: no room '{room}' in the plan")
            continue
        allowed = MAY_INCLUDE[room].split() + ["base", room]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if not found or "*" in allowed or found[2] in allowed or (room, found[1]) in EXCEPTIONS:
                continue
            if found[2] in MAY_INCLUDE:
                wrong.append(f"{path}:{number}: {room} may not include {found[2]}")
    for line in wrong:
        print(line)
    print(f"layers: {len(wrong)} wrong includes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
