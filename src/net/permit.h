#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace weir::policy {
class Gate;
}

namespace weir::net {

// Leave to write ONE request to one TCP peer: promise 1 as a type. Only policy::Gate makes one,
// after it has judged the request; HttpClient::send takes it by value and uses it up, whether the
// connection is new or pooled. It names the origin it is for ("https://api.example.com:443", as
// Origin::text() writes it), and is no good for another.
//
// Threads: a value. Invariant: a permit that was moved from or used up allows nothing.
// Not here: the judgement (policy), and Unix sockets, which need no permit.
//
// A test of a room below policy may define its own `weir::policy::Gate` in its test source; the
// program has one definition, in policy.
class OutboundPermit {
  public:
    OutboundPermit(OutboundPermit&& other) noexcept
        : origin_(std::exchange(other.origin_, {})), valid_(std::exchange(other.valid_, false)) {}
    OutboundPermit& operator=(OutboundPermit&& other) noexcept {
        origin_ = std::exchange(other.origin_, {});
        valid_ = std::exchange(other.valid_, false);
        return *this;
    }
    OutboundPermit(const OutboundPermit&) = delete;
    OutboundPermit& operator=(const OutboundPermit&) = delete;
    ~OutboundPermit() = default;

    bool allows(std::string_view origin) const { return valid_ && origin_ == origin; }

  private:
    friend class policy::Gate;
    explicit OutboundPermit(std::string origin) : origin_(std::move(origin)), valid_(true) {}

    std::string origin_;
    bool valid_ = false;
};

}  // namespace weir::net
