#include "router/next_try.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "router/health.h"

namespace weir::router {
namespace {

bool is_one_of(std::string_view reason, std::initializer_list<std::string_view> reasons) {
    return std::find(reasons.begin(), reasons.end(), reason) != reasons.end();
}

}  // namespace

bool was_worked_on(const Error& error) {
    return is_one_of(error.reason,
                     {"upstream_malformed", "upstream_truncated", "sse_event_too_large"});
}

NextTry next_try(const Error& error) {
    // What one backend cannot do, the next one may.
    if (error.code == ErrorCode::Unsupported || error.reason == "unsupported_parameter") {
        return NextTry::OtherBackend;
    }
    if (!is_worth_another_try(error)) {
        return NextTry::None;
    }
    const bool says_it_again =
        is_one_of(error.reason, {"upstream_auth", "upstream_not_found", "insufficient_quota"});
    return says_it_again || was_worked_on(error) ? NextTry::OtherBackend : NextTry::Any;
}

}  // namespace weir::router
