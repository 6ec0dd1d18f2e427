#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cpp: general categories, White_Space, combining classes, decompositions and
compositions, lower cases, and the sets of characters that single steps of the reference tokenizers ask for.

usage: make_tables.py > src/text/unicode_tables.cpp

Run it with the packages unicodedata2 16.0.0 and regex 2024.11.6, both at Unicode 16.0, where the reference tokenizers
are: another version gives other tokens for the characters that came or changed between the two.
"""
import sys

import regex
import unicodedata2 as unicodedata

assert unicodedata.unidata_version == "16.0.0" and regex.__version__ == "2.5.148", "see above"

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

# Compatibility decompositions (Age > 9.0), likewise.
NOT_COMPATIBLE = [
    (0x32FF, 0x32FF), (0xA7F2, 0xA7F4), (0xAB69, 0xAB69), (0x10781, 0x10785), (0x10787, 0x107B0), (0x107B2, 0x107BA),
    (0x1CCD6, 0x1CCF9), (0x1E030, 0x1E06D), (0x1F16C, 0x1F16C), (0x1FBF0, 0x1FBF9)]

# Their BERT steps know punctuation, nonspacing marks and format characters as of Unicode 8, and their stripping of
# accents the marks of Unicode 9: what is not yet there, and what was then there and is no more.
NOT_YET_PUNCTUATION = [
    (0x61D, 0x61D), (0x9FD, 0x9FD), (0xA76, 0xA76), (0xC77, 0xC77), (0xC84, 0xC84), (0x1B4E, 0x1B4F), (0x1B7D,
    0x1B7F), (0x2E43, 0x2E4F), (0x2E52, 0x2E5D), (0x10D6E, 0x10D6E), (0x10EAD, 0x10EAD), (0x10F55, 0x10F59),
    (0x10F86, 0x10F89), (0x113D4, 0x113D5), (0x113D7, 0x113D8), (0x1144B, 0x1144F), (0x1145A, 0x1145B),
    (0x1145D, 0x1145D), (0x11660, 0x1166C), (0x116B9, 0x116B9), (0x1183B, 0x1183B), (0x11944, 0x11946),
    (0x119E2, 0x119E2), (0x11A3F, 0x11A46), (0x11A9A, 0x11A9C), (0x11A9E, 0x11AA2), (0x11B00, 0x11B09),
    (0x11BE1, 0x11BE1), (0x11C41, 0x11C45), (0x11C70, 0x11C71), (0x11EF7, 0x11EF8), (0x11F43, 0x11F4F),
    (0x11FFF, 0x11FFF), (0x12FF1, 0x12FF2), (0x16D6D, 0x16D6F), (0x16E97, 0x16E9A), (0x16FE2, 0x16FE2),
    (0x1E5FF, 0x1E5FF), (0x1E95E, 0x1E95F)]
ONCE_PUNCTUATION = [(0x166D, 0x166D), (0x111C9, 0x111C9)]
NOT_YET_NONSPACING = [
    (0x7FD, 0x7FD), (0x897, 0x89F), (0x8CA, 0x8E1), (0x9FE, 0x9FE), (0xAFA, 0xAFF), (0xB55, 0xB55), (0xC04,
    0xC04), (0xC3C, 0xC3C), (0xD00, 0xD00), (0xD3B, 0xD3C), (0xD81, 0xD81), (0xEBA, 0xEBA), (0xECE, 0xECE),
    (0x180F, 0x180F), (0x1885, 0x1886), (0x1ABF, 0x1ACE), (0x1DF6, 0x1DFB), (0xA82C, 0xA82C), (0xA8C5, 0xA8C5),
    (0xA8FF, 0xA8FF), (0xA9BD, 0xA9BD), (0x10D24, 0x10D27), (0x10D69, 0x10D6D), (0x10EAB, 0x10EAC), (0x10EFC,
    0x10EFF), (0x10F46, 0x10F50), (0x10F82, 0x10F85), (0x11070, 0x11070), (0x11073, 0x11074), (0x110C2,
    0x110C2), (0x111C9, 0x111C9), (0x111CF, 0x111CF), (0x1123E, 0x1123E), (0x11241, 0x11241), (0x1133B,
    0x1133B), (0x113BB, 0x113C0), (0x113CE, 0x113CE), (0x113D0, 0x113D0), (0x113D2, 0x113D2), (0x113E1,
    0x113E2), (0x11438, 0x1143F), (0x11442, 0x11444), (0x11446, 0x11446), (0x1145E, 0x1145E), (0x1182F,
    0x11837), (0x11839, 0x1183A), (0x1193B, 0x1193C), (0x1193E, 0x1193E), (0x11943, 0x11943), (0x119D4,
    0x119D7), (0x119DA, 0x119DB), (0x119E0, 0x119E0), (0x11A01, 0x11A0A), (0x11A33, 0x11A38), (0x11A3B,
    0x11A3E), (0x11A47, 0x11A47), (0x11A51, 0x11A56), (0x11A59, 0x11A5B), (0x11A8A, 0x11A96), (0x11A98,
    0x11A99), (0x11C30, 0x11C36), (0x11C38, 0x11C3D), (0x11C3F, 0x11C3F), (0x11C92, 0x11CA7), (0x11CAA,
    0x11CB0), (0x11CB2, 0x11CB3), (0x11CB5, 0x11CB6), (0x11D31, 0x11D36), (0x11D3A, 0x11D3A), (0x11D3C,
    0x11D3D), (0x11D3F, 0x11D45), (0x11D47, 0x11D47), (0x11D90, 0x11D91), (0x11D95, 0x11D95), (0x11D97,
    0x11D97), (0x11EF3, 0x11EF4), (0x11F00, 0x11F01), (0x11F36, 0x11F3A), (0x11F40, 0x11F40), (0x11F42,
    0x11F42), (0x11F5A, 0x11F5A), (0x13440, 0x13440), (0x13447, 0x13455), (0x1611E, 0x16129), (0x1612D,
    0x1612F), (0x16F4F, 0x16F4F), (0x16FE4, 0x16FE4), (0x1CF00, 0x1CF2D), (0x1CF30, 0x1CF46), (0x1E000,
    0x1E006), (0x1E008, 0x1E018), (0x1E01B, 0x1E021), (0x1E023, 0x1E024), (0x1E026, 0x1E02A), (0x1E08F,
    0x1E08F), (0x1E130, 0x1E136), (0x1E2AE, 0x1E2AE), (0x1E2EC, 0x1E2EF), (0x1E4EC, 0x1E4EF), (0x1E5EE,
    0x1E5EF), (0x1E944, 0x1E94A)]
ONCE_NONSPACING = [(0x1734, 0x1734), (0x1171E, 0x1171E)]
NOT_YET_MARK = [
    (0x7FD, 0x7FD), (0x897, 0x89F), (0x8CA, 0x8D3), (0x9FE, 0x9FE), (0xAFA, 0xAFF), (0xB55, 0xB55), (0xC04,
    0xC04), (0xC3C, 0xC3C), (0xCF3, 0xCF3), (0xD00, 0xD00), (0xD3B, 0xD3C), (0xD81, 0xD81), (0xEBA, 0xEBA),
    (0xECE, 0xECE), (0x1715, 0x1715), (0x180F, 0x180F), (0x1ABF, 0x1ACE), (0x1CF7, 0x1CF7), (0x1DF6, 0x1DFA),
    (0xA82C, 0xA82C), (0xA8FF, 0xA8FF), (0x10D24, 0x10D27), (0x10D69, 0x10D6D), (0x10EAB, 0x10EAC), (0x10EFC,
    0x10EFF), (0x10F46, 0x10F50), (0x10F82, 0x10F85), (0x11070, 0x11070), (0x11073, 0x11074), (0x110C2,
    0x110C2), (0x11145, 0x11146), (0x111C9, 0x111C9), (0x111CE, 0x111CF), (0x11241, 0x11241), (0x1133B,
    0x1133B), (0x113B8, 0x113C0), (0x113C2, 0x113C2), (0x113C5, 0x113C5), (0x113C7, 0x113CA), (0x113CC,
    0x113D0), (0x113D2, 0x113D2), (0x113E1, 0x113E2), (0x1145E, 0x1145E), (0x1182C, 0x1183A), (0x11930,
    0x11935), (0x11937, 0x11938), (0x1193B, 0x1193E), (0x11940, 0x11940), (0x11942, 0x11943), (0x119D1,
    0x119D7), (0x119DA, 0x119E0), (0x119E4, 0x119E4), (0x11A01, 0x11A0A), (0x11A33, 0x11A39), (0x11A3B,
    0x11A3E), (0x11A47, 0x11A47), (0x11A51, 0x11A5B), (0x11A8A, 0x11A99), (0x11D31, 0x11D36), (0x11D3A,
    0x11D3A), (0x11D3C, 0x11D3D), (0x11D3F, 0x11D45), (0x11D47, 0x11D47), (0x11D8A, 0x11D8E), (0x11D90,
    0x11D91), (0x11D93, 0x11D97), (0x11EF3, 0x11EF6), (0x11F00, 0x11F01), (0x11F03, 0x11F03), (0x11F34,
    0x11F3A), (0x11F3E, 0x11F42), (0x11F5A, 0x11F5A), (0x13440, 0x13440), (0x13447, 0x13455), (0x1611E,
    0x1612F), (0x16F4F, 0x16F4F), (0x16F7F, 0x16F87), (0x16FE4, 0x16FE4), (0x16FF0, 0x16FF1), (0x1CF00,
    0x1CF2D), (0x1CF30, 0x1CF46), (0x1E08F, 0x1E08F), (0x1E130, 0x1E136), (0x1E2AE, 0x1E2AE), (0x1E2EC,
    0x1E2EF), (0x1E4EC, 0x1E4EF), (0x1E5EE, 0x1E5EF)]
ONCE_MARK = [(0x1CF2, 0x1CF3)]
NOT_YET_FORMAT = [(0x890, 0x891), (0x8E2, 0x8E2), (0x110CD, 0x110CD), (0x13430, 0x1343F)]

# Lower cases that are newer than Python 3.11's own tables.
NEW_LOWERCASES = {0x1C89: 0x1C8A, 0xA7CB: 0x264, 0xA7CC: 0xA7CD, 0xA7CE: 0xA7CF, 0xA7D2: 0xA7D3, 0xA7D4: 0xA7D5,
                  0xA7DA: 0xA7DB, 0xA7DC: 0x19B} | {code: code + 0x20 for code in range(0x10D50, 0x10D66)} | {
                      code: code + 0x1B for code in range(0x16EA0, 0x16EB9)}


def is_in(code, spans):
    return any(first <= code <= last for first, last in spans)


def is_normalized(code):
    return not is_in(code, NOT_NORMALIZED)


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
    """Lower cases do not change once they are given."""
    if code in NEW_LOWERCASES:
        return NEW_LOWERCASES[code]
    lower = chr(code).lower()
    return ord(lower) if len(lower) == 1 and lower != chr(code) else None


def full_decomposition(code, compatible):
    """The code points that are left when nothing decomposes further; canonical order is not needed: no character
    decomposes to marks that are out of it."""
    if code in HANGUL:
        return [code]  # by arithmetic
    text = unicodedata.decomposition(chr(code))
    tagged = text.startswith("<")
    if not text or not is_normalized(code) or tagged and (not compatible or is_in(code, NOT_COMPATIBLE)):
        return [code]
    parts = [int(part, 16) for part in text.split()[tagged:]]
    return [end for part in parts for end in full_decomposition(part, compatible)]


def sets():
    """Name and membership of each set of single characters."""
    category = lambda code: unicodedata.category(chr(code))
    has = lambda pattern: (lambda code, wanted=regex.compile(pattern): bool(wanted.match(chr(code))))
    # \\w beyond \p{L} and \p{M}: digits, letter numbers, connectors, joiners, circled and squared letters.
    yield "WordExtras", lambda code: category(code) in ("Nd", "Nl", "Pc") or is_in(code, [
        (0x200C, 0x200D), (0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)])
    yield "ReferencePunctuation", lambda code: is_in(code, ONCE_PUNCTUATION) or (
        category(code)[0] == "P" and not is_in(code, NOT_YET_PUNCTUATION)) or (
            0x20 < code < 0x7F and not chr(code).isalnum())
    yield "ReferenceNonspacing", lambda code: is_in(code, ONCE_NONSPACING) or (
        category(code) == "Mn" and not is_in(code, NOT_YET_NONSPACING))
    yield "ReferenceMarks", lambda code: is_in(code, ONCE_MARK) or (
        category(code)[0] == "M" and not is_in(code, NOT_YET_MARK))
    yield "ReferenceOther", lambda code: category(code) in ("Cc", "Cf", "Co") and not is_in(code, NOT_YET_FORMAT)
    yield "Han", has(r"\p{Han}")
    yield "DecimalDigits", lambda code: category(code) == "Nd"
    yield "GraphemeExtend", has(r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]")
    yield "GraphemePrepend", has(r"\p{GCB=Prepend}")
    yield "GraphemeControl", has(r"[\p{GCB=Control}\p{GCB=CR}\p{GCB=LF}]")


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
    print("// Text of the rows that follow.")
    text, rows = [], []
    for code in range(sys.maxunicode + 1):
        if code not in SURROGATES and (parts := full_decomposition(code, True)) != full_decomposition(code, False):
            rows.append([hexa(code), str(len(text)), str(len(parts))])
            text += parts
    line = "constexpr char32_t kCompatibilityCharacters[] = {"
    for part in text:
        if len(line) > 92:
            print(line)
            line = ""
        line += hexa(part) + ","
    print(line + "};")
    print("const std::span<const char32_t> kCompatibilityText = kCompatibilityCharacters;\n")
    table("Compatibilities", "Compatibility", rows)
    for name, contains in sets():
        table(name, "CodePointRange", [[hexa(a), hexa(b)] for a, b, _ in ranges(lambda code: contains(code) or None)])
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
