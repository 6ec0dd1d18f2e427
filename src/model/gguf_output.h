#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"
#include "tensor/dtype.h"

namespace weir::model {

// Where the bytes of a file go, one piece after the other.
using ByteSink = std::function<Result<void>(std::span<const std::byte>)>;

// The front of a GGUF file, version 3, alignment 32: metadata and tensor descriptions. The data of
// the tensors follows in the order in which they were added, each padded to the alignment.
//
// Threads: one. Ownership: copies what it is given.
class GgufHead {
  public:
    static constexpr uint64_t kAlignment = 32;

    void add(const GgufEntry& entry);  // as another file has it
    void add_u32(std::string_view key, uint32_t value);
    void add_f32(std::string_view key, float value);
    void add_bool(std::string_view key, bool value);
    void add_text(std::string_view key, std::string_view value);
    void add_bytes(std::string_view key, std::span<const std::byte> value);  // an array of U8
    void add_u32s(std::string_view key, std::span<const uint32_t> values);
    void add_i32s(std::string_view key, std::span<const int32_t> values);
    void add_f32s(std::string_view key, std::span<const float> values);
    void add_bools(std::string_view key, const std::vector<bool>& values);
    void add_texts(std::string_view key, std::span<const std::string_view> values);

    // `shape` is outermost first, rows are whole blocks. InvalidArgument for a type that GGUF does
    // not have, and for a shape or name that it cannot say.
    Result<void> add_tensor(std::string_view name, std::span<const uint64_t> shape,
                            tensor::DType dtype);

    // The bytes up to where the data begins.
    std::vector<std::byte> finish() const;

  private:
    void add_array(std::string_view key, GgufValueType element, uint64_t count,
                   std::span<const std::byte> payload);

    std::vector<std::byte> entries_;
    uint64_t entry_count_ = 0;
    std::vector<std::byte> tensors_;
    uint64_t tensor_count_ = 0;
    uint64_t data_bytes_ = 0;
};

// What has to follow `bytes` bytes of a tensor's data.
std::span<const std::byte> gguf_padding(uint64_t bytes);

}  // namespace weir::model
