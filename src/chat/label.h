#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::policy {
class Inspector;
}

namespace weir::chat {

// How sensitive a request is. A backend's clearance is the highest label that it may see.
enum class Label : uint8_t { Public, Internal, Confidential, Restricted };

std::string_view name(Label label);
std::optional<Label> label_from(std::string_view name);

// The proof that policy has looked at every string of a request, and what it concluded. Only
// policy::Inspector can make one; a request without it goes nowhere outside.
class InspectionStamp {
  public:
    Label label() const { return label_; }

  private:
    friend class ::weir::policy::Inspector;
    explicit InspectionStamp(Label label) : label_(label) {}
    Label label_;
};

}  // namespace weir::chat
