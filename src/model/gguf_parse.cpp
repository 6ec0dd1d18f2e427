#include "model/gguf_parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

#include "base/bytes.h"
#include "base/utf8.h"
#include "model/gguf_values.h"

namespace weir::model {

namespace {

constexpr uint64_t kAlignmentDefault = 32;
constexpr uint64_t kAlignmentMax = 64 * 1024;
constexpr uint64_t kDimensionsMax = 4;
constexpr uint64_t kNameBytesMax = 63;  // the format's 64 with its terminating zero
constexpr uint64_t kKeyBytesMax = 65535;

// The least bytes that one entry takes in a file: what a count is checked against.
constexpr uint64_t kEntryBytesMin = 8 + 1 + 4 + 1;  // length, key, type, value
constexpr uint64_t kTensorBytesMin =
    8 + 1 + 4 + 8 + 4 + 8;  // length, name, n_dims, ne, type, offset

std::optional<uint64_t> scalar_bytes(GgufValueType type) {
    switch (type) {
        case GgufValueType::U8:
        case GgufValueType::I8:
        case GgufValueType::Bool:
            return 1;
        case GgufValueType::U16:
        case GgufValueType::I16:
            return 2;
        case GgufValueType::U32:
        case GgufValueType::I32:
        case GgufValueType::F32:
            return 4;
        case GgufValueType::U64:
        case GgufValueType::I64:
        case GgufValueType::F64:
            return 8;
        case GgufValueType::String:
        case GgufValueType::Array:
            return std::nullopt;
    }
    return std::nullopt;
}

Result<GgufValueType> read_value_type(ByteReader& in, std::string_view key) {
    WEIR_TRY_ASSIGN(const auto id, in.read<uint32_t>());
    if (id > static_cast<uint32_t>(GgufValueType::F64)) {
        return data_corrupt("key {}: value type {} does not exist", key, id);
    }
    return static_cast<GgufValueType>(id);
}

// A key or a tensor's name: text that a message can carry.
Result<std::string_view> read_name(ByteReader& in, std::string_view what, uint64_t bytes_max) {
    const size_t at = in.offset();
    WEIR_TRY_ASSIGN(const auto length, in.read<uint64_t>());
    if (length == 0 || length > bytes_max) {
        return data_corrupt("{} at byte {} is {} bytes long; 1 to {} are allowed", what, at, length,
                            bytes_max);
    }
    WEIR_TRY_ASSIGN(const auto text, in.read_text(length));
    const bool control = std::ranges::any_of(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (control || !utf8::is_valid(text)) {
        return data_corrupt("{} at byte {} is no UTF-8 text", what, at);
    }
    return text;
}

Result<void> check_limit(uint64_t count, uint64_t max, std::string_view what) {
    if (count > max) {
        return data_corrupt("{} {} are announced; up to {} are read", count, what, max);
    }
    return {};
}

Result<std::span<const std::byte>> read_array_payload(ByteReader& in, GgufValueType element,
                                                      uint64_t count) {
    WEIR_TRY(check_limit(count, kGgufArrayElementsMax, "elements"));
    if (const auto size = scalar_bytes(element)) {
        const auto total = checked_mul(*size, count);
        if (!total) {
            return data_corrupt("{} elements are announced, but {} bytes are left", count,
                                in.remaining());
        }
        return in.read_bytes(*total);
    }
    if (element != GgufValueType::String) {
        return unsupported("arrays of arrays are not read");
    }
    if (count > in.remaining() / 8) {
        return data_corrupt("{} strings are announced, but {} bytes are left", count,
                            in.remaining());
    }
    ByteReader lookahead = in;
    for (uint64_t i = 0; i < count; ++i) {
        WEIR_TRY_ASSIGN(const auto length, lookahead.read<uint64_t>());
        WEIR_TRY(lookahead.read_bytes(length));
        WEIR_TRY(check_limit(lookahead.offset() - in.offset(), kGgufArrayBytesMax, "bytes"));
    }
    return in.read_bytes(lookahead.offset() - in.offset());
}

Result<void> read_payload(ByteReader& in, GgufEntry& entry) {
    if (const auto size = scalar_bytes(entry.type)) {
        WEIR_TRY_ASSIGN(entry.payload, in.read_bytes(*size));
        return {};
    }
    if (entry.type == GgufValueType::String) {
        WEIR_TRY_ASSIGN(const auto length, in.read<uint64_t>());
        WEIR_TRY(check_limit(length, kGgufTextBytesMax, "bytes"));
        WEIR_TRY_ASSIGN(entry.payload, in.read_bytes(length));
        return {};
    }
    WEIR_TRY_ASSIGN(entry.element, read_value_type(in, entry.key));
    WEIR_TRY_ASSIGN(entry.count, in.read<uint64_t>());
    WEIR_TRY_ASSIGN(entry.payload, read_array_payload(in, entry.element, entry.count));
    return {};
}

Result<GgufEntry> read_entry(ByteReader& in) {
    GgufEntry entry;
    WEIR_TRY_ASSIGN(entry.key, read_name(in, "a metadata key", kKeyBytesMax));
    WEIR_TRY_ASSIGN(entry.type, read_value_type(in, entry.key));
    if (auto payload = read_payload(in, entry); !payload) {
        return std::unexpected(
            std::move(payload).error().with_context(fmt::format("key {}", entry.key)));
    }
    return entry;
}

// A tensor as described, its place still an offset into the data section.
struct Described {
    GgufTensor tensor;
    uint64_t offset = 0;
    uint64_t bytes = 0;
};

Result<uint64_t> tensor_bytes(const GgufTensor& tensor) {
    if (tensor.ne[0] % tensor.type->block_elements != 0) {
        return data_corrupt("rows of {} elements are no whole {} blocks of {}", tensor.ne[0],
                            tensor.type->name, tensor.type->block_elements);
    }
    std::optional<uint64_t> elements = 1;
    for (const uint64_t extent : tensor.ne) {
        elements = elements ? checked_mul(*elements, extent) : std::nullopt;
    }
    // ne[0] is whole blocks, so the product is too.
    const auto bytes =
        elements ? checked_mul(*elements / tensor.type->block_elements, tensor.type->block_bytes)
                 : std::nullopt;
    if (!bytes || *bytes > std::numeric_limits<size_t>::max() / 2) {
        return data_corrupt("its shape has more elements than can be counted");
    }
    return *bytes;
}

Result<void> read_shape(ByteReader& in, GgufTensor& tensor) {
    WEIR_TRY_ASSIGN(tensor.dimensions, in.read<uint32_t>());
    if (tensor.dimensions == 0 || tensor.dimensions > kDimensionsMax) {
        return data_corrupt("{} dimensions; 1 to {} are allowed", tensor.dimensions,
                            kDimensionsMax);
    }
    for (uint32_t axis = 0; axis < tensor.dimensions; ++axis) {
        WEIR_TRY_ASSIGN(const auto extent, in.read<int64_t>());
        if (extent <= 0) {
            return data_corrupt("dimension {} is {}", axis, extent);
        }
        tensor.ne[axis] = static_cast<uint64_t>(extent);
    }
    return {};
}

Result<void> read_type_and_place(ByteReader& in, Described& described) {
    WEIR_TRY_ASSIGN(const auto id, in.read<uint32_t>());
    described.tensor.type = find_ggml_type(id);
    if (described.tensor.type == nullptr) {
        return unsupported("tensor type {} is not one of the format's", id);
    }
    WEIR_TRY_ASSIGN(described.bytes, tensor_bytes(described.tensor));
    WEIR_TRY_ASSIGN(described.offset, in.read<uint64_t>());
    return {};
}

Result<Described> read_tensor(ByteReader& in) {
    Described described;
    WEIR_TRY_ASSIGN(described.tensor.name, read_name(in, "a tensor name", kNameBytesMax));
    auto read = read_shape(in, described.tensor);
    if (read) {
        read = read_type_and_place(in, described);
    }
    if (!read) {
        return std::unexpected(
            std::move(read).error().with_context(fmt::format("tensor {}", described.tensor.name)));
    }
    return described;
}

// Gives every tensor its bytes. Offsets must be the running sum of the padded sizes, so that no two
// tensors share a byte and none lies outside of the file.
Result<std::vector<GgufTensor>> place_tensors(std::span<const Described> described,
                                              std::span<const std::byte> file, uint64_t header_end,
                                              uint64_t alignment) {
    std::vector<GgufTensor> tensors;
    tensors.reserve(described.size());
    const uint64_t data_begin = align_up(header_end, alignment);
    uint64_t expected = 0;
    for (const Described& item : described) {
        if (item.offset != expected) {
            return data_corrupt("tensor {}: offset {} where {} follows from the tensors before it",
                                item.tensor.name, item.offset, expected);
        }
        const uint64_t begin = data_begin + expected;  // expected <= file.size(), see below
        if (begin > file.size() || item.bytes > file.size() - begin) {
            return data_corrupt("tensor {}: needs bytes {} to {}+{}, but the file ends at {}",
                                item.tensor.name, begin, begin, item.bytes, file.size());
        }
        GgufTensor tensor = item.tensor;
        tensor.bytes = file.subspan(static_cast<size_t>(begin), static_cast<size_t>(item.bytes));
        tensors.push_back(tensor);
        expected = align_up(expected + item.bytes, alignment);
    }
    return tensors;
}

// `general.alignment`; read before tensors are placed.
Result<uint64_t> alignment_of(std::span<const GgufEntry> entries) {
    const GgufEntry* entry = find_entry(entries, "general.alignment");
    if (entry == nullptr) {
        return kAlignmentDefault;
    }
    if (entry->type != GgufValueType::U32) {
        return wrong_type(*entry, "u32");
    }
    const auto alignment = load_le<uint32_t>(entry->payload.data());
    if (!std::has_single_bit(alignment) || alignment > kAlignmentMax) {
        return data_corrupt("key general.alignment: {} is no power of two up to {}", alignment,
                            kAlignmentMax);
    }
    return alignment;
}

Result<void> check_preamble(ByteReader& in) {
    WEIR_TRY_ASSIGN(const auto magic, in.read_text(4));
    if (magic != "GGUF") {
        return data_corrupt("the file does not begin with GGUF");
    }
    WEIR_TRY_ASSIGN(const auto version, in.read<uint32_t>());
    if (version == 0x02000000 || version == 0x03000000) {
        return unsupported("the file is a big-endian GGUF");
    }
    if (version != 2 && version != 3) {
        return unsupported("GGUF version {} is not read; 2 and 3 are", version);
    }
    return {};
}

}  // namespace

Result<GgufPart> parse_gguf_part(std::span<const std::byte> bytes) {
    ByteReader in(bytes);
    WEIR_TRY(check_preamble(in));
    WEIR_TRY_ASSIGN(const auto tensor_count, in.read<uint64_t>());
    WEIR_TRY_ASSIGN(const auto entry_count, in.read<uint64_t>());
    WEIR_TRY(check_limit(tensor_count, kGgufTensorsMax, "tensors"));
    WEIR_TRY(check_limit(entry_count, kGgufEntriesMax, "metadata entries"));
    if (entry_count > in.remaining() / kEntryBytesMin) {
        return data_corrupt("{} metadata entries are announced, but {} bytes are left", entry_count,
                            in.remaining());
    }

    GgufPart part;
    part.entries.reserve(static_cast<size_t>(entry_count));
    for (uint64_t i = 0; i < entry_count; ++i) {
        WEIR_TRY_ASSIGN(part.entries.emplace_back(), read_entry(in));
    }
    WEIR_TRY(sort_unique(part.entries, &GgufEntry::key, "key"));
    WEIR_TRY_ASSIGN(const uint64_t alignment, alignment_of(part.entries));

    if (tensor_count > in.remaining() / kTensorBytesMin) {
        return data_corrupt("{} tensors are announced, but {} bytes are left", tensor_count,
                            in.remaining());
    }
    std::vector<Described> described;
    described.reserve(static_cast<size_t>(tensor_count));
    for (uint64_t i = 0; i < tensor_count; ++i) {
        WEIR_TRY_ASSIGN(described.emplace_back(), read_tensor(in));
    }
    WEIR_TRY_ASSIGN(part.tensors, place_tensors(described, bytes, in.offset(), alignment));
    return part;
}

}  // namespace weir::model
