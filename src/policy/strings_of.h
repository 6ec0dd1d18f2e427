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
    std::string joined;  // the same, one after the other, nothing between
    // For each role the ends of its messages' texts side by side: what one speaker says over
    // several turns, where another one spoke in between.
    std::vector<std::string> seams;
    bool uninspectable = false;  // images, audio, files or token ids: no text to look at
};

RequestStrings strings_of(const chat::ChatRequest& request);

}  // namespace weir::policy
