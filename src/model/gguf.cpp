#include "model/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "base/bytes.h"
#include "base/utf8.h"

namespace weir::model {

namespace {

constexpr uint32_t kPartsMax = 999;
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
    if (!utf8::is_valid(text) || text.find('\0') != std::string_view::npos) {
        return data_corrupt("{} at byte {} is no UTF-8 text", what, at);
    }
    return text;
}

Result<std::span<const std::byte>> read_array_payload(ByteReader& in, GgufValueType element,
                                                      uint64_t count) {
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

uint64_t padded(uint64_t bytes, uint64_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;  // both far below 2^63
}

// Gives every tensor its bytes. Offsets must be the running sum of the padded sizes, so that no two
// tensors share a byte and none lies outside of the file.
Result<std::vector<GgufTensor>> place_tensors(std::span<const Described> described,
                                              std::span<const std::byte> file, uint64_t header_end,
                                              uint64_t alignment) {
    std::vector<GgufTensor> tensors;
    tensors.reserve(described.size());
    const uint64_t data_begin = padded(header_end, alignment);
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
        expected = padded(expected + item.bytes, alignment);
    }
    return tensors;
}

template <typename Item, typename Projection>
Result<void> sort_unique(std::vector<Item>& items, Projection text, std::string_view what) {
    std::ranges::sort(items, {}, text);
    const auto twice = std::ranges::adjacent_find(items, {}, text);
    if (twice != items.end()) {
        return data_corrupt("{} {} occurs twice", what, std::invoke(text, *twice));
    }
    return {};
}

const GgufEntry* find_entry(std::span<const GgufEntry> entries, std::string_view key) {
    const auto at = std::ranges::lower_bound(entries, key, {}, &GgufEntry::key);
    return at != entries.end() && at->key == key ? &*at : nullptr;
}

template <typename T>
T scalar(const GgufEntry& entry, uint64_t index = 0) {
    return load_le<T>(entry.payload.data() + index * sizeof(T));
}

// The index-th whole number of an entry whose (element) type is `type`; nothing if it is negative
// or no integer type.
std::optional<uint64_t> whole_number(const GgufEntry& entry, GgufValueType type, uint64_t index) {
    const auto not_negative = [](int64_t value) {
        return value < 0 ? std::nullopt : std::optional(static_cast<uint64_t>(value));
    };
    switch (type) {
        case GgufValueType::U8:
            return scalar<uint8_t>(entry, index);
        case GgufValueType::I8:
            return not_negative(scalar<int8_t>(entry, index));
        case GgufValueType::U16:
            return scalar<uint16_t>(entry, index);
        case GgufValueType::I16:
            return not_negative(scalar<int16_t>(entry, index));
        case GgufValueType::U32:
            return scalar<uint32_t>(entry, index);
        case GgufValueType::I32:
            return not_negative(scalar<int32_t>(entry, index));
        case GgufValueType::U64:
            return scalar<uint64_t>(entry, index);
        case GgufValueType::I64:
            return not_negative(scalar<int64_t>(entry, index));
        case GgufValueType::F32:
        case GgufValueType::F64:
        case GgufValueType::Bool:
        case GgufValueType::String:
        case GgufValueType::Array:
            return std::nullopt;
    }
    return std::nullopt;
}

std::string type_of(const GgufEntry& entry) {
    return entry.type == GgufValueType::Array ? fmt::format("array of {}", name(entry.element))
                                              : std::string(name(entry.type));
}

std::unexpected<Error> wrong_type(const GgufEntry& entry, std::string_view wanted) {
    return std::unexpected(make_error(ErrorCode::DataCorrupt, "key {}: {} expected, found {}",
                                      entry.key, wanted, type_of(entry))
                               .with_field(entry.key));
}

// Copies a whole array; `out` has room for its count elements.
void copy_payload(const GgufEntry& entry, void* out) {
    if (!entry.payload.empty()) {
        std::memcpy(out, entry.payload.data(), entry.payload.size());
    }
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
    const auto alignment = scalar<uint32_t>(*entry);
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

std::string_view name(GgufValueType type) {
    constexpr std::array<std::string_view, 13> kNames = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                         "i32", "f32", "bool", "string", "array",
                                                         "u64", "i64", "f64"};
    return kNames[static_cast<size_t>(type)];
}

// One file's worth of a model.
struct GgufFile::Part {
    std::vector<GgufEntry> entries;
    std::vector<GgufTensor> tensors;
};

Result<GgufFile::Part> GgufFile::parse_part(std::span<const std::byte> bytes) {
    ByteReader in(bytes);
    WEIR_TRY(check_preamble(in));
    WEIR_TRY_ASSIGN(const auto tensor_count, in.read<uint64_t>());
    WEIR_TRY_ASSIGN(const auto entry_count, in.read<uint64_t>());
    if (entry_count > in.remaining() / kEntryBytesMin) {
        return data_corrupt("{} metadata entries are announced, but {} bytes are left", entry_count,
                            in.remaining());
    }

    Part part;
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

Result<GgufFile> GgufFile::join(std::vector<Part> parts, std::vector<MappedFile> mappings) {
    GgufFile file;
    file.mappings_ = std::move(mappings);
    file.entries_ = std::move(parts.front().entries);  // the first part carries the metadata
    for (const Part& part : parts) {
        file.tensors_.insert(file.tensors_.end(), part.tensors.begin(), part.tensors.end());
    }
    WEIR_TRY(sort_unique(file.tensors_, &GgufTensor::name, "tensor"));
    return file;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes) {
    std::vector<Part> parts;
    WEIR_TRY_ASSIGN(parts.emplace_back(), parse_part(bytes));
    WEIR_TRY_ASSIGN(GgufFile file, join(std::move(parts), {}));
    WEIR_TRY_ASSIGN(const auto split, file.find_unsigned("split.count"));
    if (split.value_or(1) > 1) {
        return unsupported("this is one of {} parts; open it as a file, beside the others", *split);
    }
    return file;
}

namespace {

// "NAME-00002-of-00005.gguf" taken apart.
struct SplitName {
    std::string prefix;
    uint32_t number = 1;  // from 1
    uint32_t count = 1;
};

std::optional<SplitName> split_name(std::string_view file_name) {
    constexpr std::string_view kPattern = "-00001-of-00005.gguf";
    if (file_name.size() <= kPattern.size()) {
        return std::nullopt;
    }
    const std::string_view tail = file_name.substr(file_name.size() - kPattern.size());
    SplitName split{.prefix = std::string(file_name.substr(0, file_name.size() - kPattern.size()))};
    const auto five_digits = [](std::string_view text, uint32_t& out) {
        return std::from_chars(text.data(), text.data() + 5, out).ptr == text.data() + 5;
    };
    const bool matches = tail[0] == '-' && five_digits(tail.substr(1), split.number) &&
                         tail.substr(6, 4) == "-of-" && five_digits(tail.substr(10), split.count) &&
                         tail.substr(15) == ".gguf";
    if (!matches || split.number == 0 || split.number > split.count) {
        return std::nullopt;
    }
    return split;
}

Result<std::vector<std::filesystem::path>> part_paths(const std::filesystem::path& path) {
    const auto split = split_name(path.filename().string());
    if (!split) {
        return std::vector{path};
    }
    if (split->count > kPartsMax) {
        return unsupported("{} parts; {} are read", split->count, kPartsMax);
    }
    std::vector<std::filesystem::path> paths;
    for (uint32_t number = 1; number <= split->count; ++number) {
        paths.push_back(path.parent_path() /
                        fmt::format("{}-{:05}-of-{:05}.gguf", split->prefix, number, split->count));
    }
    return paths;
}

// What a part says about its place; an unsplit file says nothing.
Result<void> check_part(std::span<const GgufEntry> entries, uint64_t number, uint64_t parts) {
    const auto value = [&](std::string_view key, uint64_t absent) -> Result<uint64_t> {
        const GgufEntry* entry = find_entry(entries, key);
        if (entry == nullptr) {
            return absent;
        }
        const auto found = whole_number(*entry, entry->type, 0);
        if (!found) {
            return wrong_type(*entry, "a whole number");
        }
        return *found;
    };
    WEIR_TRY_ASSIGN(const uint64_t count, value("split.count", 1));
    WEIR_TRY_ASSIGN(const uint64_t own_number, value("split.no", 0));
    if (count != parts && !(count == 0 && parts == 1)) {
        return data_corrupt("key split.count: {}, but the file's name says {} parts", count, parts);
    }
    if (own_number != number) {
        return data_corrupt("key split.no: {}, but the file's name says {}", own_number, number);
    }
    return {};
}

}  // namespace

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
    WEIR_TRY_ASSIGN(const auto paths, part_paths(path));
    std::vector<MappedFile> mappings;
    std::vector<Part> parts;
    for (size_t i = 0; i < paths.size(); ++i) {
        WEIR_TRY_ASSIGN(MappedFile mapping, MappedFile::open(paths[i]));
        mappings.push_back(std::move(mapping));
        auto part = parse_part(mappings.back().bytes());
        const auto checked = part ? check_part(part->entries, i, paths.size())
                                  : std::unexpected(std::move(part).error());
        if (!checked) {
            return std::unexpected(
                Error(checked.error()).with_context(paths[i].filename().string()));
        }
        parts.push_back(*std::move(part));
    }
    WEIR_TRY_ASSIGN(GgufFile file, join(std::move(parts), std::move(mappings)));
    WEIR_TRY_ASSIGN(const auto total, file.find_unsigned("split.tensors.count"));
    if (total && *total != file.tensors_.size() && paths.size() > 1) {
        return data_corrupt("key split.tensors.count: {}, but the parts have {} tensors", *total,
                            file.tensors_.size());
    }
    return file;
}

const GgufEntry* GgufFile::find(std::string_view key) const {
    return find_entry(entries_, key);
}

const GgufTensor* GgufFile::find_tensor(std::string_view tensor_name) const {
    const auto at = std::ranges::lower_bound(tensors_, tensor_name, {}, &GgufTensor::name);
    return at != tensors_.end() && at->name == tensor_name ? &*at : nullptr;
}

Result<std::optional<uint64_t>> GgufFile::find_unsigned(std::string_view key) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    const auto value = whole_number(*entry, entry->type, 0);
    if (!value) {
        return wrong_type(*entry, "a whole number, not negative,");
    }
    return value;
}

Result<std::optional<double>> GgufFile::find_number(std::string_view key) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    double value = 0;
    if (entry->type == GgufValueType::F32) {
        value = scalar<float>(*entry);
    } else if (entry->type == GgufValueType::F64) {
        value = scalar<double>(*entry);
    } else if (const auto whole = whole_number(*entry, entry->type, 0)) {
        value = static_cast<double>(*whole);
    } else {
        return wrong_type(*entry, "a number");
    }
    if (!std::isfinite(value)) {
        return data_corrupt("key {}: not a finite number", key);
    }
    return value;
}

Result<std::optional<bool>> GgufFile::find_bool(std::string_view key) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    if (entry->type != GgufValueType::Bool) {
        return wrong_type(*entry, "bool");
    }
    return entry->payload[0] != std::byte{0};
}

Result<std::optional<std::string_view>> GgufFile::find_text(std::string_view key) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr) {
        return std::nullopt;
    }
    if (entry->type != GgufValueType::String) {
        return wrong_type(*entry, "string");
    }
    const std::string_view text(reinterpret_cast<const char*>(entry->payload.data()),
                                entry->payload.size());
    if (!utf8::is_valid(text)) {
        return data_corrupt("key {}: no UTF-8 text", key);
    }
    return text;
}

Result<std::vector<std::string_view>> GgufFile::find_texts(std::string_view key) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr) {
        return std::vector<std::string_view>();
    }
    if (entry->type != GgufValueType::Array || entry->element != GgufValueType::String) {
        return wrong_type(*entry, "array of string");
    }
    std::vector<std::string_view> texts;
    texts.reserve(static_cast<size_t>(entry->count));  // 16 bytes for at least 8 of the file
    ByteReader in(entry->payload);
    for (uint64_t i = 0; i < entry->count; ++i) {
        WEIR_TRY_ASSIGN(const auto length, in.read<uint64_t>());
        WEIR_TRY_ASSIGN(texts.emplace_back(), in.read_text(length));
    }
    return texts;
}

Result<std::vector<float>> GgufFile::find_floats(std::string_view key) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr) {
        return std::vector<float>();
    }
    if (entry->type != GgufValueType::Array || entry->element != GgufValueType::F32) {
        return wrong_type(*entry, "array of f32");
    }
    std::vector<float> values(static_cast<size_t>(entry->count));
    copy_payload(*entry, values.data());
    return values;
}

Result<std::vector<int32_t>> GgufFile::find_ints(std::string_view key) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr) {
        return std::vector<int32_t>();
    }
    if (entry->type != GgufValueType::Array ||
        (entry->element != GgufValueType::I32 && entry->element != GgufValueType::U32)) {
        return wrong_type(*entry, "array of i32");
    }
    std::vector<int32_t> values(static_cast<size_t>(entry->count));
    copy_payload(*entry, values.data());
    return values;
}

Result<std::vector<uint64_t>> GgufFile::find_unsigneds(std::string_view key) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr) {
        return std::vector<uint64_t>();
    }
    if (entry->type != GgufValueType::Array) {
        return wrong_type(*entry, "array of whole numbers");
    }
    std::vector<uint64_t> values;
    values.reserve(static_cast<size_t>(entry->count));
    for (uint64_t i = 0; i < entry->count; ++i) {
        const auto value = whole_number(*entry, entry->element, i);
        if (!value) {
            return wrong_type(*entry, "array of whole numbers, not negative,");
        }
        values.push_back(*value);
    }
    return values;
}

Result<std::span<const std::byte>> GgufFile::find_bytes(std::string_view key) const {
    const GgufEntry* entry = find(key);
    if (entry == nullptr) {
        return std::span<const std::byte>();
    }
    if (entry->type != GgufValueType::Array ||
        (entry->element != GgufValueType::U8 && entry->element != GgufValueType::I8)) {
        return wrong_type(*entry, "array of u8");
    }
    return entry->payload;
}

}  // namespace weir::model
