#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::net {

enum class Scheme : uint8_t { Http, Https };

// Whom a TCP connection is made to. Compared and keyed by its text.
struct Origin {
    Scheme scheme = Scheme::Https;
    std::string host;  // lower case; an IPv6 address without its brackets
    uint16_t port = 443;

    // "https://host:port", always with the port, IPv6 in brackets: what an OutboundPermit names.
    std::string text() const;
    // The Host header: without the port where it is the scheme's own.
    std::string host_header() const;

    bool operator==(const Origin&) const = default;
};

struct BaseUrl {
    Origin origin;
    std::string path;  // "" or "/v1": no slash at its end

    std::string text() const;
};

// Reads "http://host[:port][/path]" or "https://…" from the configuration. Strict: no
// user:password, query, fragment, backslash, percent-encoding or control character; a host is a DNS
// name, an IPv4 address in four decimal parts, or an IPv6 address in brackets. The only URL parser
// of this room.
Result<BaseUrl> parse_base_url(std::string_view text);

}  // namespace weir::net
