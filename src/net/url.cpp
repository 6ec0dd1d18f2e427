#include "net/url.h"

#include <algorithm>
#include <charconv>

namespace weir::net {
namespace {

constexpr size_t kUrlBytesMax = 2048;
constexpr size_t kHostBytesMax = 253;  // RFC 1035
constexpr size_t kLabelBytesMax = 63;

std::unexpected<Error> bad_url(std::string_view why) {
    return fail(ErrorCode::InvalidArgument, "the base URL {}", why);
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_alnum(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string to_lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return out;
}

uint16_t default_port(Scheme scheme) {
    return scheme == Scheme::Https ? 443 : 80;
}

// Four decimal numbers to 255 without leading zeros: "127.1" and "0x7f000001" are names for the
// same machine in some resolvers, and refused here.
bool is_ipv4(std::string_view host) {
    int parts = 0;
    size_t begin = 0;
    while (begin <= host.size()) {
        const size_t end = std::min(host.find('.', begin), host.size());
        const std::string_view part = host.substr(begin, end - begin);
        unsigned value = 0;
        const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), value);
        const bool leading_zero = part.size() > 1 && part[0] == '0';
        if (error != std::errc() || stop != part.data() + part.size() || value > 255 ||
            leading_zero) {
            return false;
        }
        ++parts;
        begin = end + 1;
    }
    return parts == 4;
}

bool is_label(std::string_view label) {
    return !label.empty() && label.size() <= kLabelBytesMax && label.front() != '-' &&
           label.back() != '-' &&
           std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
}

bool is_dns_name(std::string_view host) {
    std::string_view last;
    for (size_t begin = 0; begin <= host.size();) {
        const size_t end = std::min(host.find('.', begin), host.size());
        last = host.substr(begin, end - begin);
        if (!is_label(last)) {
            return false;
        }
        begin = end + 1;
    }
    // A last label that begins with a digit is what a resolver may read as a number (SF3).
    return !is_digit(last.front());
}

Result<void> check_host(std::string_view host, bool bracketed) {
    if (host.empty() || host.size() > kHostBytesMax) {
        return bad_url("has no host, or one that is too long");
    }
    if (bracketed) {
        const bool shape =
            host.find(':') != std::string_view::npos && std::ranges::all_of(host, [](char c) {
                return is_digit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
            });
        return shape ? Result<void>() : bad_url("has a bad IPv6 address");
    }
    if (!is_ipv4(host) && !is_dns_name(host)) {
        return bad_url("has a host that is neither a DNS name nor an IP address");
    }
    return {};
}

Result<uint16_t> parse_port(std::string_view text) {
    uint16_t port = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || stop != text.data() + text.size() || port == 0) {
        return bad_url("has a bad port");
    }
    return port;
}

Result<void> check_path(std::string_view path) {
    const bool allowed = std::ranges::all_of(path, [](char c) {
        return is_alnum(c) ||
               std::string_view("-._~!$&'()*+,;=:@/").find(c) != std::string_view::npos;
    });
    if (!allowed) {
        return bad_url("may have letters, digits and -._~!$&'()*+,;=:@ in its path, nothing else");
    }
    const std::string closed = std::string(path) + "/";
    for (const std::string_view bad : {"//", "/./", "/../"}) {
        if (closed.find(bad) != std::string::npos) {
            return bad_url("has an empty or dot segment in its path");
        }
    }
    return {};
}

Result<Origin> parse_authority(Scheme scheme, std::string_view authority) {
    Origin origin{scheme, {}, default_port(scheme)};
    const bool bracketed = authority.starts_with('[');
    std::string_view rest;
    if (bracketed) {
        const size_t close = authority.find(']');
        if (close == std::string_view::npos) {
            return bad_url("has a bad IPv6 address");
        }
        origin.host = to_lower(authority.substr(1, close - 1));
        rest = authority.substr(close + 1);
    } else {
        const size_t colon = std::min(authority.find(':'), authority.size());
        origin.host = to_lower(authority.substr(0, colon));
        rest = authority.substr(colon);
    }
    WEIR_TRY(check_host(origin.host, bracketed));
    if (!rest.empty()) {
        if (rest[0] != ':') {
            return bad_url("has something between its host and its path");
        }
        WEIR_TRY_ASSIGN(origin.port, parse_port(rest.substr(1)));
    }
    return origin;
}

bool is_ipv6(const std::string& host) {
    return host.find(':') != std::string::npos;
}

}  // namespace

std::string Origin::text() const {
    const std::string_view name = scheme == Scheme::Https ? "https" : "http";
    return is_ipv6(host) ? fmt::format("{}://[{}]:{}", name, host, port)
                         : fmt::format("{}://{}:{}", name, host, port);
}

std::string Origin::host_header() const {
    std::string out = is_ipv6(host) ? fmt::format("[{}]", host) : host;
    if (port != default_port(scheme)) {
        out += fmt::format(":{}", port);
    }
    return out;
}

std::string BaseUrl::text() const {
    return origin.text() + path;
}

Result<BaseUrl> parse_base_url(std::string_view text) {
    if (text.size() > kUrlBytesMax) {
        return bad_url("is too long");
    }
    BaseUrl url;
    const std::string scheme = to_lower(text.substr(0, text.find("://")));
    if (scheme == "https") {
        url.origin.scheme = Scheme::Https;
    } else if (scheme == "http") {
        url.origin.scheme = Scheme::Http;
    } else {
        return bad_url("does not begin with https:// or http://");
    }
    if (text.size() < scheme.size() + 3) {
        return bad_url("has no host");
    }
    const std::string_view rest = text.substr(scheme.size() + 3);
    const size_t slash = std::min(rest.find('/'), rest.size());
    WEIR_TRY_ASSIGN(url.origin, parse_authority(url.origin.scheme, rest.substr(0, slash)));
    url.path = rest.substr(slash);
    while (url.path.ends_with('/') && !url.path.ends_with("//")) {
        url.path.pop_back();
    }
    WEIR_TRY(check_path(url.path));
    return url;
}

}  // namespace weir::net
