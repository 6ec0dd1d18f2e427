#include "router/router.h"

#include <algorithm>

namespace weir::router {

Result<Decision> choose_backends(const Route& route, chat::Label label,
                                 std::string_view label_reason) {
    Decision decision;
    decision.reason = fmt::format("{}: {}", chat::name(label), label_reason);
    std::vector<const Candidate*> cleared;
    for (const Candidate& candidate : route.candidates) {
        if (label <= candidate.clearance) {
            cleared.push_back(&candidate);
        } else {
            decision.reason += fmt::format("; skipped {} (cleared for {})", candidate.name,
                                           chat::name(candidate.clearance));
        }
    }
    if (cleared.empty()) {
        return std::unexpected(make_error(ErrorCode::PermissionDenied,
                                          "no backend of '{}' is cleared for a {} request ({})",
                                          route.name, chat::name(label), label_reason)
                                   .with_field("model")
                                   .with_reason("no_cleared_backend"));
    }
    std::stable_partition(cleared.begin(), cleared.end(),
                          [](const Candidate* candidate) { return !candidate->breaker_open; });
    for (const Candidate* candidate : cleared) {
        if (candidate->breaker_open && cleared.size() > 1) {
            decision.reason += fmt::format("; {} last (it keeps failing)", candidate->name);
        }
        decision.order.push_back(candidate->index);
    }
    return decision;
}

}  // namespace weir::router
