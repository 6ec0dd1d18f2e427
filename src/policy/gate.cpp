#include "policy/gate.h"

#include "policy/fingerprint.h"

namespace weir::policy {
namespace {

std::unexpected<Error> refused(std::string_view backend, std::string_view why) {
    return std::unexpected(
        make_error(ErrorCode::PermissionDenied, "the request may not go to {}: {}", backend, why)
            .with_reason("no_cleared_backend"));
}

}  // namespace

Result<net::OutboundPermit> Gate::permit(const chat::ChatRequest& request,
                                         const Destination& destination) {
    if (!request.inspection) {
        return refused(destination.backend, "nobody has inspected it");
    }
    if (request.inspection->fingerprint_ != fingerprint_of(request)) {
        return refused(destination.backend, "it was changed after it was inspected");
    }
    const chat::Label label = request.inspection->label();
    if (label > destination.clearance) {
        return refused(destination.backend,
                       fmt::format("it is labelled {}, the backend is cleared for {}",
                                   chat::name(label), chat::name(destination.clearance)));
    }
    return net::OutboundPermit(destination.origin);
}

}  // namespace weir::policy
