#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::policy {
class Gate;
class Inspector;
}  // namespace weir::policy

namespace weir::chat {

// How sensitive a request is. A backend's clearance is the highest label that it may see.
enum class Label : uint8_t { Public, Internal, Confidential, Restricted };

std::string_view name(Label label);
std::optional<Label> label_from(std::string_view name);

// The proof that policy has looked at every string of a request, and what it concluded. Only
// policy::Inspector can make one; a request without it goes nowhere outside.
//
// Invariant: the fingerprint is of what was looked at. A request can be copied and the copy
// changed; policy::Gate takes the fingerprint again, so that an old stamp is worth nothing on a new
// text.
class InspectionStamp {
  public:
    using Fingerprint = std::array<uint64_t, 2>;

    Label label() const { return label_; }

  private:
    friend class ::weir::policy::Inspector;
    friend class ::weir::policy::Gate;
    InspectionStamp(Label label, const Fingerprint& fingerprint)
        : label_(label), fingerprint_(fingerprint) {}

    Label label_;
    Fingerprint fingerprint_;
};

}  // namespace weir::chat
