#pragma once

#include <string>

#include "net/http_message.h"

namespace weir::providers {

// A request in a provider's dialect: what goes to the peer but for its address and key.
struct Call {
    std::string method;
    std::string path;      // begins with '/'
    net::Headers headers;  // never credentials
    std::string body;
};

}  // namespace weir::providers
