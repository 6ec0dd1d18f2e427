#pragma once

#include <string>

#include "base/result.h"
#include "chat/request.h"
#include "net/permit.h"

namespace weir::policy {

// Where a request would go, and what that place may see.
struct Destination {
    std::string backend;  // its configured name, for messages
    std::string origin;   // "https://api.example.com:443", as net::Origin::text() writes it
    chat::Label clearance = chat::Label::Internal;
};

// The only door to the outside. Every request that is written to a TCP peer, on a new connection
// or a pooled one, first or again, passes here and uses up what it returns.
//
// Errors: PermissionDenied, reason "no_cleared_backend": the request was not inspected, or was
// changed since, or its label is above the destination's clearance.
//
// Threads: any.
class Gate {
  public:
    static Result<net::OutboundPermit> permit(const chat::ChatRequest& request,
                                              const Destination& destination);
};

}  // namespace weir::policy
