#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/label.h"
#include "chat/request.h"

namespace weir::router {

// What the router knows of a backend. `index` is the server's own number for it.
struct Candidate {
    size_t index = 0;
    std::string name;
    chat::Label clearance = chat::Label::Internal;
    bool breaker_open = false;  // it has failed too often just now
};

struct Route {
    std::string name;                   // the model name that clients ask for
    std::vector<Candidate> candidates;  // in the operator's order
};

// Which backends may answer, best first, and why in one line for people:
// "restricted: found email; skipped remote-a (cleared for internal)".
struct Decision {
    std::vector<size_t> order;
    std::string reason;
};

// Drops what is not cleared, keeps the operator's order, and puts backends whose breaker is open
// last (better tried than refused). Pure.
//
// Errors: PermissionDenied "no_cleared_backend" when none may: never an implicit fallback.
Result<Decision> choose_backends(const Route& route, chat::Label label,
                                 std::string_view label_reason);

}  // namespace weir::router
