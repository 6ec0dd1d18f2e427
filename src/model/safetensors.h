#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace weir::model {

// The longest header that is read. Real ones stay below 1 MB (a few hundred bytes a tensor); the
// format's own limit is 100 MB.
inline constexpr uint64_t kSafetensorsHeaderBytesMax = uint64_t{32} << 20;

struct SafetensorsTensor {
    std::string name;
    std::string dtype;            // as the file says it: "F32", "BF16", "F8_E4M3", …
    std::vector<uint64_t> shape;  // outermost first
    std::span<const std::byte> bytes;

    // What the kernels call its type; nothing if this build cannot compute with it.
    std::optional<tensor::DType> kernel_dtype() const;
};

// One .safetensors file. Everything is checked when it is opened: the header's length against the
// file, the header as strict JSON (no member twice), every shape against its extent with checked
// products, and the extents against each other: in order they cover the data exactly, without
// holes, overlaps or empty tensors.
//
// Threads: immutable once opened.
// Ownership: owns its mapping; tensor bytes are views into it (for `parse`: into the caller's).
class SafetensorsFile {
  public:
    static Result<SafetensorsFile> open(const std::filesystem::path& path);
    static Result<SafetensorsFile> parse(std::span<const std::byte> bytes);

    std::span<const SafetensorsTensor> tensors() const { return tensors_; }  // sorted by name
    const SafetensorsTensor* find(std::string_view name) const;

  private:
    std::vector<SafetensorsTensor> tensors_;
    std::optional<MappedFile> mapping_;
};

}  // namespace weir::model
