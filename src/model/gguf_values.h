#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "model/gguf.h"

namespace weir::model {

// `entries` are sorted by key.
const GgufEntry* find_entry(std::span<const GgufEntry> entries, std::string_view key);

// The index-th whole number of an entry whose (element) type is `type`; nothing if it is negative
// or no integer type.
std::optional<uint64_t> whole_number(const GgufEntry& entry, GgufValueType type, uint64_t index);

// "key K: `wanted` expected, found …"
std::unexpected<Error> wrong_type(const GgufEntry& entry, std::string_view wanted);

}  // namespace weir::model
