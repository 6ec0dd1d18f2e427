#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace weir::model::testing {

struct SafetensorsItem {
    std::string name;
    std::string dtype;
    std::vector<uint64_t> shape;
    std::vector<std::byte> bytes;
};

// A .safetensors file of these tensors, one after the other.
std::vector<std::byte> safetensors_file(std::span<const SafetensorsItem> items);

// A file with this header and this many bytes of data, right or wrong.
std::vector<std::byte> safetensors_file(std::string_view header, size_t data_bytes);

}  // namespace weir::model::testing
