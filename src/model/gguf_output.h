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

    // `shape` is outermost first, rows are whole blocks. InvalidArgument for a type that GGUF does
    // not have, and for a shape or name that it cannot say.
    Result<void> add_tensor(std::string_view name, std::span<const uint64_t> shape,
                            tensor::DType dtype);

    // The bytes up to where the data begins.
    std::vector<std::byte> finish() const;

  private:
    std::vector<std::byte> entries_;
    uint64_t entry_count_ = 0;
    std::vector<std::byte> tensors_;
    uint64_t tensor_count_ = 0;
    uint64_t data_bytes_ = 0;
};

// What has to follow `bytes` bytes of a tensor's data.
std::span<const std::byte> gguf_padding(uint64_t bytes);

}  // namespace weir::model
