#pragma once

#include <string_view>

#include "base/result.h"
#include "json/value.h"

namespace weir::server {

// A TOML text as the JSON value of the same shape, so that one reader of fields serves both.
// Dates and times are refused. Errors: InvalidArgument with the line.
Result<json::Value> toml_to_json(std::string_view text);

}  // namespace weir::server
