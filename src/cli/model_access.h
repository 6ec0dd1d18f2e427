#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "model/load.h"

namespace weir::cli {

// How a command reaches a model file: first the process gives up what a reader of hostile files has
// no use for, then it reads.
struct ModelAccess {
    std::function<Result<void>()> enter_sandbox;
    std::span<const std::byte> embedded;

    // `name` is a path, or the embedded model's name. Errors name the path as it was given.
    Result<model::ModelSource::Pointer> open(const std::string& name) const;

    // The text of a file that is no model, such as a template.
    Result<std::string> read_text(const std::string& path, size_t bytes_max) const;
};

}  // namespace weir::cli
