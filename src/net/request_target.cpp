#include "net/request_target.h"

#include <optional>

#include "base/utf8.h"

namespace weir::net {
namespace {

std::optional<unsigned> hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return static_cast<unsigned>(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return static_cast<unsigned>(c - 'a' + 10);
    }
    if (c >= 'A' && c <= 'F') {
        return static_cast<unsigned>(c - 'A' + 10);
    }
    return std::nullopt;
}

// RFC 3986 pchar without '%', and '/'.
bool is_path_byte(char c) {
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return alnum || std::string_view("-._~!$&'()*+,;=:@/").find(c) != std::string_view::npos;
}

std::unexpected<Error> bad_path(std::string_view why) {
    return fail(ErrorCode::InvalidArgument, "the request path {}", why);
}

// The byte that the escape at `at` stands for. An escape may not hide what gives a path its shape:
// somebody behind us might decode at another time than we do.
Result<char> decode_escape(std::string_view raw, size_t at) {
    if (raw.size() - at < 3) {
        return bad_path("ends within a percent escape");
    }
    const auto high = hex_digit(raw[at + 1]);
    const auto low = hex_digit(raw[at + 2]);
    if (!high || !low) {
        return bad_path("has a percent escape that is not two hexadecimal digits");
    }
    const unsigned byte = *high * 16 + *low;
    if (byte < 0x20 || byte == 0x7f) {
        return bad_path("has an encoded control character");
    }
    if (byte == '/' || byte == '\\' || byte == '.' || byte == '%') {
        return bad_path("has an encoded slash, backslash, dot or percent sign");
    }
    return static_cast<char>(byte);
}

Result<void> check_segments(std::string_view path) {
    for (size_t begin = 1; begin <= path.size();) {
        const size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view segment = path.substr(begin, end - begin);
        if (segment == "." || segment == "..") {
            return bad_path("has a dot segment");
        }
        if (segment.empty() && end < path.size()) {
            return bad_path("has an empty segment");
        }
        begin = end + 1;
    }
    return {};
}

}  // namespace

Result<std::string> normalise_path(std::string_view raw) {
    if (raw.empty() || raw[0] != '/') {
        return bad_path("does not begin with a slash");
    }
    std::string path;
    path.reserve(raw.size());
    for (size_t i = 0; i < raw.size(); ++i) {
        if (raw[i] == '%') {
            WEIR_TRY_ASSIGN(const char byte, decode_escape(raw, i));
            path.push_back(byte);
            i += 2;
        } else if (is_path_byte(raw[i])) {
            path.push_back(raw[i]);
        } else {
            return bad_path("has a character that must be percent-encoded");
        }
    }
    if (!utf8::is_valid(path)) {
        return bad_path("is not UTF-8");
    }
    WEIR_TRY(check_segments(path));
    return path;
}

}  // namespace weir::net
