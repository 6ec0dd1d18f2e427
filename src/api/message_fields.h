#pragma once

#include "api/limits.h"
#include "base/result.h"
#include "chat/request.h"
#include "json/fields.h"

namespace weir::api {

// messages: at least one. Parts that are no text are checked for their shape and kept as JSON
// text; which model can look at them is not decided here.
Result<std::vector<chat::Message>> read_messages(json::Fields& body, const ApiLimits& limits);

}  // namespace weir::api
