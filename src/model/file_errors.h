#pragma once

#include <string_view>
#include <utility>

#include "base/result.h"

namespace weir::model {

// `result`, its error said as one of a model file: what a reader of requests calls an invalid
// argument is, inside a file, corrupt data. "context: message".
template <typename T>
Result<T> as_file_error(Result<T> result, std::string_view context) {
    if (result) {
        return result;
    }
    Error error = std::move(result).error().with_context(context);
    if (error.code == ErrorCode::InvalidArgument) {
        error.code = ErrorCode::DataCorrupt;
    }
    return std::unexpected(std::move(error));
}

}  // namespace weir::model
