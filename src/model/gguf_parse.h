#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"

namespace weir::model {

// One file's worth of a model: entries sorted by key, tensors in the order of the file.
struct GgufPart {
    std::vector<GgufEntry> entries;
    std::vector<GgufTensor> tensors;
};

// Reads and checks one file's bytes; gguf.h says what is checked. The part is views into them.
Result<GgufPart> parse_gguf_part(std::span<const std::byte> bytes);

// Sorts by `text`, and refuses items that have the same.
template <typename Item, typename Projection>
Result<void> sort_unique(std::vector<Item>& items, Projection text, std::string_view what) {
    std::ranges::sort(items, {}, text);
    const auto twice = std::ranges::adjacent_find(items, {}, text);
    if (twice != items.end()) {
        return data_corrupt("{} {} occurs twice", what, std::invoke(text, *twice));
    }
    return {};
}

}  // namespace weir::model
