#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "model/ggml_types.h"

namespace weir::model {

// The value types of GGUF metadata, with the format's numbers.
enum class GgufValueType : uint32_t {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
};

std::string_view name(GgufValueType type);

// Limits on what a file may announce, far above every published model. The size of the file alone
// is no limit: a sparse one claims a terabyte and holds nothing.
inline constexpr uint64_t kGgufEntriesMax = 1u << 16;
inline constexpr uint64_t kGgufTensorsMax = 1u << 17;  // old files have one a matrix and expert
inline constexpr uint64_t kGgufArrayElementsMax = 1u << 24;
inline constexpr uint64_t kGgufArrayBytesMax = 1u << 28;
inline constexpr uint64_t kGgufTextBytesMax = 1u << 26;  // a tokenizer.json has 33 MB

// One metadata entry, its payload a view into the file.
struct GgufEntry {
    std::string_view key;
    GgufValueType type = GgufValueType::U8;
    GgufValueType element = GgufValueType::U8;  // of an array
    uint64_t count = 1;                         // elements of an array
    std::span<const std::byte> payload;         // a string's is its text, without the length
};

// One tensor description. ne[0] is the contiguous axis: a matrix of `out` rows and `in` columns has
// ne = {in, out}. Axes past `dimensions` are 1.
struct GgufTensor {
    std::string_view name;
    uint32_t dimensions = 0;
    std::array<uint64_t, 4> ne{1, 1, 1, 1};
    const GgmlType* type = nullptr;
    std::span<const std::byte> bytes;  // exactly what shape and type need
};

struct GgufPart;

// A GGUF model, versions 2 and 3: one file, all parts of a split one, or bytes in memory.
// Everything is checked when it is opened: every count, length and offset against its limit and the
// size of the file before anything is allocated for it, keys and names (UTF-8, not empty, unique),
// and every tensor's extent (aligned, inside the file, in file order without gaps or overlaps).
//
// Threads: immutable once opened.
// Ownership: owns its mappings; keys, strings and tensor bytes are views into them (for `parse`:
// into the caller's bytes, which must outlive it).
// Not here: what keys and tensors mean (config.h, weights.h).
class GgufFile {
  public:
    // `path` is a whole model or any part of a split one ("NAME-00001-of-00003.gguf"); the other
    // parts are looked for beside it.
    static Result<GgufFile> open(const std::filesystem::path& path);

    // One unsplit model in memory.
    static Result<GgufFile> parse(std::span<const std::byte> bytes);

    const GgufEntry* find(std::string_view key) const;
    std::span<const GgufEntry> entries() const { return entries_; }  // sorted by key

    const GgufTensor* find_tensor(std::string_view tensor_name) const;
    std::span<const GgufTensor> tensors() const { return tensors_; }  // sorted by name

    // Typed access. Nothing if the key is absent; DataCorrupt naming the key if its value has
    // another type or is out of range. Whole numbers may be stored in any integer type.
    Result<std::optional<uint64_t>> find_unsigned(std::string_view key) const;
    Result<std::optional<double>> find_number(std::string_view key) const;  // finite
    Result<std::optional<bool>> find_bool(std::string_view key) const;
    Result<std::optional<std::string_view>> find_text(std::string_view key) const;  // UTF-8

    // Arrays, empty if absent; element types must be what is said here (a narrower one would make
    // the reader of `count` elements run past the end).
    Result<std::vector<std::string_view>> find_texts(std::string_view key) const;
    Result<std::vector<float>> find_floats(std::string_view key) const;        // F32
    Result<std::vector<int32_t>> find_ints(std::string_view key) const;        // I32, U32
    Result<std::vector<uint64_t>> find_unsigneds(std::string_view key) const;  // any
    Result<std::span<const std::byte>> find_bytes(std::string_view key) const;

  private:
    static Result<GgufFile> join(std::vector<GgufPart> parts, std::vector<MappedFile> mappings);

    std::vector<MappedFile> mappings_;
    std::vector<GgufEntry> entries_;
    std::vector<GgufTensor> tensors_;
};

}  // namespace weir::model
