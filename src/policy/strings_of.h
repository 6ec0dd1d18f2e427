#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/request.h"

namespace weir::policy {

// Everything of a request that would leave with it and could say something.
//
// Ownership: `texts` borrow from the request.
struct RequestPieces {
    std::vector<std::string_view> texts;
    std::vector<std::string> numbers;  // those that a client may choose freely, in decimal digits
    std::vector<std::string> lists;    // of numbers: token ids
    bool uninspectable = false;        // images, audio, files or token ids: no text to look at
};

RequestPieces pieces_of(const chat::ChatRequest& request);

// What is split over pieces shows only when they are put together: for each way to put them one
// text of the ends of the pieces.
struct Seams {
    std::string all;                   // of all pieces, one after the other
    std::vector<std::string> by_role;  // of what each role says over its turns
};

Seams seams_of(const chat::ChatRequest& request, const RequestPieces& pieces);

}  // namespace weir::policy
