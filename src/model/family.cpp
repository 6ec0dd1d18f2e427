#include "model/family.h"

#include <algorithm>
#include <array>

namespace weir::model {

namespace {

std::array<const Family*, 3> families() {
    return {&llama_family(), &qwen2_family(), &qwen3_family()};
}

bool contains(std::span<const std::string_view> names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

}  // namespace

const Family* find_family_of_gguf(std::string_view architecture) {
    for (const Family* family : families()) {
        if (contains(family->gguf_architectures, architecture)) {
            return family;
        }
    }
    return nullptr;
}

const Family* find_family_of_json(std::string_view model_type) {
    for (const Family* family : families()) {
        if (contains(family->model_types, model_type)) {
            return family;
        }
    }
    return nullptr;
}

}  // namespace weir::model
