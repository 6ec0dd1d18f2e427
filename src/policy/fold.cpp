#include "policy/fold.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <array>

#include "base/failpoint.h"
#include "base/utf8.h"

namespace weir::policy {
namespace {

bool shows_nothing(char32_t c) {
    if (c < 0x80) {
        return (c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7F;
    }
    constexpr char32_t kBrailleBlank = 0x2800;
    const auto point = static_cast<UChar32>(c);
    switch (u_charType(point)) {
        case U_FORMAT_CHAR:
        case U_NON_SPACING_MARK:
        case U_ENCLOSING_MARK:
        case U_CONTROL_CHAR:
        case U_UNASSIGNED:
            return true;
        default:
            return c == kBrailleBlank ||
                   u_hasBinaryProperty(point, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) != 0;
    }
}

// The digit that a character stands for, in any script's numerals (decimal, circled, Roman,
// Chinese), or -1.
int digit_of(char32_t c) {
    const double value = u_getNumericValue(static_cast<UChar32>(c));
    return value >= 0 && value <= 9 && value == static_cast<int>(value) ? static_cast<int>(value)
                                                                        : -1;
}

// Letters of other scripts that are drawn like an ASCII one; what matters here are the characters
// of addresses, IBANs and keys. Source: the prototypes of UTS #39's confusables, cut to letters
// that NFKC leaves alone.
struct LookAlike {
    char32_t from;
    char to;
};
constexpr std::array kLookAlikes = std::to_array<LookAlike>({
    {0x0251, 'a'}, {0x0261, 'g'}, {0x0131, 'i'}, {0x0391, 'A'}, {0x0392, 'B'}, {0x0395, 'E'},
    {0x0396, 'Z'}, {0x0397, 'H'}, {0x0399, 'I'}, {0x039A, 'K'}, {0x039C, 'M'}, {0x039D, 'N'},
    {0x039F, 'O'}, {0x03A1, 'P'}, {0x03A4, 'T'}, {0x03A5, 'Y'}, {0x03A7, 'X'}, {0x03B1, 'a'},
    {0x03B9, 'i'}, {0x03BD, 'v'}, {0x03BF, 'o'}, {0x03C1, 'p'}, {0x03C5, 'u'}, {0x0405, 'S'},
    {0x0406, 'I'}, {0x0408, 'J'}, {0x0410, 'A'}, {0x0412, 'B'}, {0x0415, 'E'}, {0x041A, 'K'},
    {0x041C, 'M'}, {0x041D, 'H'}, {0x041E, 'O'}, {0x0420, 'P'}, {0x0421, 'C'}, {0x0422, 'T'},
    {0x0423, 'Y'}, {0x0425, 'X'}, {0x0430, 'a'}, {0x0435, 'e'}, {0x043E, 'o'}, {0x0440, 'p'},
    {0x0441, 'c'}, {0x0443, 'y'}, {0x0445, 'x'}, {0x0455, 's'}, {0x0456, 'i'}, {0x0458, 'j'},
    {0x04BB, 'h'}, {0x0501, 'd'}, {0x051B, 'q'}, {0x051D, 'w'}, {0x0570, 'h'}, {0x0578, 'n'},
    {0x057D, 'u'}, {0x0585, 'o'}, {0x10E7, 'y'}, {0x13A0, 'D'}, {0x13A2, 'T'}, {0x13B3, 'W'},
    {0x3002, '.'}, {0x06D4, '.'}, {0x0701, '.'}, {0x2024, '.'}, {0x00B7, '.'}, {0x2027, '.'},
    {0x2044, '/'}, {0x2215, '/'}, {0x2212, '-'}, {0x02D7, '-'}, {0x2796, '-'}, {0x2795, '+'},
});

char32_t plain_form(char32_t c) {
    if (c < 0x80) {
        return c;
    }
    if (const int digit = digit_of(c); digit >= 0) {
        return U'0' + static_cast<char32_t>(digit);
    }
    switch (u_charType(static_cast<UChar32>(c))) {
        case U_DASH_PUNCTUATION:
            return U'-';
        case U_SPACE_SEPARATOR:
            return U' ';
        case U_LINE_SEPARATOR:
        case U_PARAGRAPH_SEPARATOR:
            return U'\n';
        default:
            break;
    }
    const auto* found = std::find_if(kLookAlikes.begin(), kLookAlikes.end(),
                                     [c](const LookAlike& entry) { return entry.from == c; });
    return found == kLookAlikes.end() ? c : static_cast<char32_t>(found->to);
}

bool is_plain_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte >= 0x20 && byte < 0x7F) || c == '\n' || c == '\t' || c == '\r';
    });
}

Result<std::string> nfkc(std::string_view text) {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* normalizer = icu::Normalizer2::getNFKCInstance(status);
    if (WEIR_FAILPOINT("policy.normalise")) {
        status = U_MEMORY_ALLOCATION_ERROR;
    }
    if (U_FAILURE(status) || text.size() > INT32_MAX) {
        return fail(ErrorCode::Internal, "text cannot be normalised");
    }
    const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
    if (normalizer->isNormalizedUTF8(piece, status) != 0 && U_SUCCESS(status)) {
        return std::string(text);
    }
    std::string out;
    icu::StringByteSink<std::string> sink(&out);
    normalizer->normalizeUTF8(0, piece, sink, nullptr, status);
    if (U_FAILURE(status)) {
        return fail(ErrorCode::Internal, "text cannot be normalised");
    }
    return out;
}

bool is_printed(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x7F;
}

// Calls `use` for every character beyond ASCII and every control character, and copies the rest.
template <typename Use>
std::string rewrite(std::string_view text, Use use) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        size_t plain = at;
        while (plain < text.size() && is_printed(text[plain])) {
            ++plain;
        }
        out.append(text, at, plain - at);
        at = plain;
        if (at == text.size()) {
            break;
        }
        const utf8::Decoded next = utf8::decode(text, at);
        use(next, out);
        at += next.bytes;
    }
    return out;
}

}  // namespace

bool is_invisible(char32_t c) {
    return c >= 0x80 &&
           u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_DEFAULT_IGNORABLE_CODE_POINT) != 0;
}

Result<std::string> fold(std::string_view text) {
    if (is_plain_ascii(text)) {
        return std::string(text);
    }
    // What shows nothing goes first: between a base and its mark it would stop the composition. So
    // do digits that NFKC would write as letters (Roman ones).
    const std::string visible = rewrite(text, [](const utf8::Decoded& next, std::string& out) {
        if (!next.valid || shows_nothing(next.code_point)) {
            return;
        }
        const int digit = next.code_point < 0x80 ? -1 : digit_of(next.code_point);
        utf8::append(out, digit >= 0 ? U'0' + static_cast<char32_t>(digit) : next.code_point);
    });
    WEIR_TRY_ASSIGN(const std::string unified, nfkc(visible));
    return rewrite(unified, [](const utf8::Decoded& next, std::string& out) {
        if (!shows_nothing(next.code_point)) {
            utf8::append(out, plain_form(next.code_point));
        }
    });
}

}  // namespace weir::policy
