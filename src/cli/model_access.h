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

    // `name` is a path, or the embedded model's name.
    Result<model::ModelSource::Pointer> open(const std::string& name) const;
};

}  // namespace weir::cli
