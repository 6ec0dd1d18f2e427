#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/request.h"

namespace weir::policy {

// Every string of a request that would leave with it.
//
// Ownership: `pieces` borrow from the request.
struct RequestStrings {
    std::vector<std::string_view> pieces;
    std::string joined;          // the same, one after the other, nothing between
    bool uninspectable = false;  // images, audio, files or token ids: no text to look at
};

RequestStrings strings_of(const chat::ChatRequest& request);

}  // namespace weir::policy
