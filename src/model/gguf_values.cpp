#include "model/gguf_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/utf8.h"

namespace weir::model {

namespace {

template <typename T>
T scalar(const GgufEntry& entry, uint64_t index = 0) {
    return load_le<T>(entry.payload.data() + index * sizeof(T));
}

// Copies a whole array; `out` has room for its count elements.
void copy_payload(const GgufEntry& entry, void* out) {
    if (!entry.payload.empty()) {
        std::memcpy(out, entry.payload.data(), entry.payload.size());
    }
}

std::string type_of(const GgufEntry& entry) {
    return entry.type == GgufValueType::Array ? fmt::format("array of {}", name(entry.element))
                                              : std::string(name(entry.type));
}

}  // namespace

std::string_view name(GgufValueType type) {
    constexpr std::array<std::string_view, 13> kNames = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                         "i32", "f32", "bool", "string", "array",
                                                         "u64", "i64", "f64"};
    return kNames[static_cast<size_t>(type)];
}

const GgufEntry* find_entry(std::span<const GgufEntry> entries, std::string_view key) {
    const auto at = std::ranges::lower_bound(entries, key, {}, &GgufEntry::key);
    return at != entries.end() && at->key == key ? &*at : nullptr;
}

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

std::unexpected<Error> wrong_type(const GgufEntry& entry, std::string_view wanted) {
    return std::unexpected(make_error(ErrorCode::DataCorrupt, "key {}: {} expected, found {}",
                                      entry.key, wanted, type_of(entry))
                               .with_field(entry.key));
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
