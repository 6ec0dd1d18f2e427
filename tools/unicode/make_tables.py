#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cpp from Python's unicodedata: general categories, White_Space, canonical
combining classes, canonical decompositions and compositions.

usage: make_tables.py > src/text/unicode_tables.cpp

Run it with the package unicodedata2 16.0.0: the reference tokenizers are at Unicode 16.0, and another version gives
other tokens for the characters that came or changed between the two. Without the package it is Python's own version.
"""
import sys
try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

# White_Space is not a category: the separators, and these controls.
SPACE_CONTROLS = {0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85}
SURROGATES = range(0xD800, 0xE000)
HANGUL = range(0xAC00, 0xD7A4)

# The reference tokenizers normalise by Unicode 9: characters with a combining class or a decomposition that came later
# (Age > 9.0) are to it neither.
NOT_NORMALIZED = [
    (0x7FD, 0x7FD), (0x897, 0x89F), (0x8CA, 0x8D3), (0x9FE, 0x9FE), (0xC3C, 0xC3C), (0xD3B, 0xD3C), (0xEBA,
    0xEBA), (0x1715, 0x1715), (0x1ABF, 0x1ACE), (0x1DF6, 0x1DFA), (0xA82C, 0xA82C), (0x105C9, 0x105C9),
    (0x105E4, 0x105E4), (0x10D24, 0x10D27), (0x10D69, 0x10D6D), (0x10EAB, 0x10EAC), (0x10EFD, 0x10EFF),
    (0x10F46, 0x10F50), (0x10F82, 0x10F85), (0x11070, 0x11070), (0x1133B, 0x1133B), (0x11383, 0x11383),
    (0x11385, 0x11385), (0x1138E, 0x1138E), (0x11391, 0x11391), (0x113C5, 0x113C5), (0x113C7, 0x113C8),
    (0x113CE, 0x113D0), (0x1145E, 0x1145E), (0x11839, 0x1183A), (0x11938, 0x11938), (0x1193D, 0x1193E),
    (0x11943, 0x11943), (0x119E0, 0x119E0), (0x11A34, 0x11A34), (0x11A47, 0x11A47), (0x11A99, 0x11A99),
    (0x11D42, 0x11D42), (0x11D44, 0x11D45), (0x11D97, 0x11D97), (0x11F41, 0x11F42), (0x16121, 0x16128),
    (0x1612F, 0x1612F), (0x16D68, 0x16D6A), (0x16FF0, 0x16FF1), (0x1E08F, 0x1E08F), (0x1E130, 0x1E136),
    (0x1E2AE, 0x1E2AE), (0x1E2EC, 0x1E2EF), (0x1E4EC, 0x1E4EF), (0x1E5EE, 0x1E5EF)]


def is_normalized(code):
    return not any(first <= code <= last for first, last in NOT_NORMALIZED)



def char_class(code):
    """The enumerator of text::CharClass."""
    category = unicodedata.category(chr(code))
    if code in SPACE_CONTROLS or category[0] == "Z":
        return "kSpace"
    if category in ("Lu", "Lt"):
        return "kUpper"
    if category == "Ll":
        return "kLower"
    return {"L": "kCaseless", "M": "kMark", "N": "kNumber", "P": "kPunctuation", "S": "kSymbol"}.get(category[0])


def ranges(function):
    """[first, last, value] of every maximal run where function is not None."""
    runs = []
    for code in range(sys.maxunicode + 1):
        value = function(code) if code not in SURROGATES else None
        if value is None:
            continue
        if runs and runs[-1][1] == code - 1 and runs[-1][2] == value:
            runs[-1][1] = code
        else:
            runs.append([code, code, value])
    return runs


def decomposition(code):
    """The canonical decomposition mapping, one step, or None."""
    text = unicodedata.decomposition(chr(code))
    if not text or text.startswith("<") or code in HANGUL or not is_normalized(code):
        return None
    return [int(part, 16) for part in text.split()]


def composes(code, pair):
    return unicodedata.normalize("NFC", "".join(map(chr, pair))) == chr(code)


def simple_lower(code):
    """Python's own version has to do; lower cases do not change once they are given."""
    lower = chr(code).lower()
    return ord(lower) if len(lower) == 1 and lower != chr(code) else None


def table(name, type_name, rows):
    print(f"constexpr {type_name} k{name}Rows[] = {{")
    line = ""
    for row in rows:
        item = "{" + ",".join(row) + "},"
        if len(line) + len(item) > 100:
            print(line)
            line = ""
        line += item
    print(line + "};")
    print(f"const std::span<const {type_name}> k{name} = k{name}Rows;\n")


def main():
    print(f"""// Made by tools/unicode/make_tables.py from Unicode {unicodedata.unidata_version}; do not edit.
// clang-format off

#include "text/unicode_tables.h"

namespace weir::text::tables {{
""")
    hexa = lambda code: f"0x{code:X}"
    table("Classes", "ClassRange", [[hexa(a), hexa(b), c] for a, b, c in ranges(char_class)])
    table("CombiningClasses", "CombiningRange",
          [[hexa(a), hexa(b), str(c)] for a, b, c in
           ranges(lambda code: unicodedata.combining(chr(code)) * is_normalized(code) or None)])
    found = [(code, parts) for code in range(sys.maxunicode + 1) if (parts := decomposition(code))]
    table("Decompositions", "Decomposition",
          [[hexa(code), hexa(parts[0]), hexa(parts[1]) if len(parts) > 1 else "0",
            "true" if len(parts) == 2 and composes(code, parts) else "false"] for code, parts in found])
    lowers = []
    for code in range(0x80, sys.maxunicode + 1):
        if (lower := simple_lower(code)) is not None:
            step = lowers[-1][3] if lowers else 0
            if lowers and lowers[-1][2] == lower - code and code - lowers[-1][1] in (1, 2) and (
                    lowers[-1][1] == lowers[-1][0] or code - lowers[-1][1] == step):
                lowers[-1][3] = code - lowers[-1][1]
                lowers[-1][1] = code
            else:
                lowers.append([code, code, lower - code, 1])
    table("Lowercases", "LowercaseRange", [[hexa(a), hexa(b), str(d), str(s)] for a, b, d, s in lowers])
    print("}  // namespace weir::text::tables")


if __name__ == "__main__":
    main()
