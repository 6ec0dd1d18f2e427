#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/gguf.h"
#include "model/testing/byte_builder.h"

namespace weir::model::testing {

// Writes a GGUF file: metadata and tensors in the order in which they are added.
class GgufWriter {
  public:
    GgufWriter& add_u32(std::string_view key, uint32_t value);
    GgufWriter& add_u64(std::string_view key, uint64_t value);
    GgufWriter& add_f32(std::string_view key, float value);
    GgufWriter& add_bool(std::string_view key, bool value);
    GgufWriter& add_text(std::string_view key, std::string_view value);
    GgufWriter& add_texts(std::string_view key, std::span<const std::string> values);
    GgufWriter& add_floats(std::string_view key, std::span<const float> values);
    GgufWriter& add_ints(std::string_view key, std::span<const int32_t> values);

    // Any entry: `payload` is what follows the value type in the file.
    GgufWriter& add_raw(std::string_view key, GgufValueType type, const ByteBuilder& payload);

    // `shape` is outermost first (a matrix is {rows, columns}); the file has it the other way
    // round.
    GgufWriter& add_tensor(std::string_view name, std::span<const uint64_t> shape,
                           uint32_t ggml_type, std::span<const std::byte> bytes);

    std::vector<std::byte> finish() const;

  private:
    static constexpr uint32_t kVersion = 3;
    static constexpr size_t kAlignment = 32;

    ByteBuilder entries_;
    uint64_t entry_count_ = 0;
    ByteBuilder infos_;
    uint64_t tensor_count_ = 0;
    ByteBuilder data_;
};

}  // namespace weir::model::testing
