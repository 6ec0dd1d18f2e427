#pragma once

#include "api/limits.h"
#include "base/result.h"
#include "chat/request.h"
#include "json/fields.h"

namespace weir::api {

// tools, tool_choice and parallel_tool_calls. A named choice must name one of the tools.
Result<void> read_tools(json::Fields& body, const ApiLimits& limits,
                        chat::Conversation& conversation);

// response_format: text, json_object or json_schema.
Result<std::optional<chat::ResponseFormat>> read_response_format(json::Fields& body);

}  // namespace weir::api
