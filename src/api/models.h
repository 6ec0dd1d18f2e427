#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"

namespace weir::api {

// What GET /v1/models tells of one model.
struct ModelEntry {
    std::string id;        // the name that clients ask for
    int64_t created = 0;   // Unix seconds
    std::string owned_by;  // e.g. "weir"; never an upstream's address
};

std::string model_json(const ModelEntry& model);
std::string model_list_json(std::span<const ModelEntry> models);

// 404 with the code that OpenAI's clients know.
Error model_not_found();

}  // namespace weir::api
