#!/usr/bin/env python3
"""Promise 1 in the build: only the network room's transport may open a connection.

Everything that reaches another machine goes through net, whose client consumes a permit for each
request. This fails when a source outside of net calls connect() or includes a networking header.
usage: check_connect.py [REPOSITORY]
"""
import pathlib
import re
import sys

FORBIDDEN = re.compile(
    r"(?<![A-Za-z0-9_.>:])(?:::)?(?:connect|sendto|getaddrinfo|gethostbyname)\s*\("
    r"|#\s*include\s*<(?:boost/asio|boost/beast|curl/|netdb\.h|sys/socket\.h|netinet/)"
)


def main() -> int:
    top = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    wrong = []
    for path in sorted((top / "src").rglob("*")):
        room = path.relative_to(top / "src").parts[0]
        if path.suffix not in (".h", ".cpp") or room == "net" or path.name.endswith("_test.cpp"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if FORBIDDEN.search(line.split("//")[0]):
                wrong.append(f"{path}:{number}: only net may reach the network: {line.strip()}")
    for line in wrong:
        print(line)
    print(f"connections: {len(wrong)} outside of net")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
