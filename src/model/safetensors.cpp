#include "model/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/bytes.h"
#include "json/fields.h"
#include "json/parse.h"
#include "model/file_errors.h"

namespace weir::model {

namespace {

constexpr size_t kRankMax = 8;
constexpr size_t kNameBytesMax = 1024;

struct StoredType {
    std::string_view name;
    uint32_t bytes;
    std::optional<tensor::DType> dtype;
};

constexpr std::array kTypes = {
    StoredType{"BOOL", 1, std::nullopt},
    StoredType{"U8", 1, std::nullopt},
    StoredType{"I8", 1, std::nullopt},
    StoredType{"F8_E5M2", 1, std::nullopt},
    StoredType{"F8_E4M3", 1, tensor::DType::F8_E4M3},
    StoredType{"F8_E8M0", 1, std::nullopt},
    StoredType{"I16", 2, std::nullopt},
    StoredType{"U16", 2, std::nullopt},
    StoredType{"F16", 2, tensor::DType::F16},
    StoredType{"BF16", 2, tensor::DType::BF16},
    StoredType{"I32", 4, std::nullopt},
    StoredType{"U32", 4, std::nullopt},
    StoredType{"F32", 4, tensor::DType::F32},
    StoredType{"I64", 8, std::nullopt},
    StoredType{"U64", 8, std::nullopt},
    StoredType{"F64", 8, std::nullopt},
};

const StoredType* find_type(std::string_view name) {
    const auto found = std::ranges::find(kTypes, name, &StoredType::name);
    return found == kTypes.end() ? nullptr : &*found;
}

// A whole number, not negative, written as one.
Result<uint64_t> unsigned_of(const json::Value& value, std::string_view what) {
    if (const auto* whole = std::get_if<int64_t>(&value.storage()); whole && *whole >= 0) {
        return static_cast<uint64_t>(*whole);
    }
    if (const auto* large = std::get_if<uint64_t>(&value.storage())) {
        return *large;
    }
    return data_corrupt("{} must hold whole numbers, not negative", what);
}

Result<std::vector<uint64_t>> read_numbers(json::Fields& fields, std::string_view name,
                                           size_t count_max) {
    WEIR_TRY_ASSIGN(const json::Array* array, fields.require_array(name));
    if (array->size() > count_max) {
        return data_corrupt("{} has {} entries; up to {} are read", name, array->size(), count_max);
    }
    std::vector<uint64_t> numbers;
    for (const json::Value& value : *array) {
        WEIR_TRY_ASSIGN(numbers.emplace_back(), unsigned_of(value, name));
    }
    return numbers;
}

// Bytes that a tensor of this type and shape takes; never zero.
Result<uint64_t> extent_bytes(const StoredType& type, std::span<const uint64_t> shape) {
    std::optional<uint64_t> bytes = type.bytes;
    for (const uint64_t extent : shape) {
        if (extent == 0) {
            return data_corrupt("an extent of its shape is 0");
        }
        bytes = bytes ? checked_mul(*bytes, extent) : std::nullopt;
    }
    if (!bytes) {
        return data_corrupt("its shape has more elements than can be counted");
    }
    return *bytes;
}

Result<SafetensorsTensor> read_tensor(std::string_view name, const json::Value& description,
                                      std::span<const std::byte> data) {
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(description, ""));
    SafetensorsTensor tensor;
    tensor.name = name;
    WEIR_TRY_ASSIGN(tensor.dtype, fields.require_string("dtype"));
    WEIR_TRY_ASSIGN(tensor.shape, read_numbers(fields, "shape", kRankMax));
    WEIR_TRY_ASSIGN(const auto offsets, read_numbers(fields, "data_offsets", 2));
    WEIR_TRY(fields.refuse_unknown());

    const StoredType* type = find_type(tensor.dtype);
    if (type == nullptr) {
        return unsupported("its dtype is not one of the format's");
    }
    WEIR_TRY_ASSIGN(const uint64_t bytes, extent_bytes(*type, tensor.shape));
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data.size()) {
        return data_corrupt("its data_offsets are not inside the {} bytes of data", data.size());
    }
    if (offsets[1] - offsets[0] != bytes) {
        return data_corrupt("its shape needs {} bytes, its data_offsets hold {}", bytes,
                            offsets[1] - offsets[0]);
    }
    tensor.bytes = data.subspan(static_cast<size_t>(offsets[0]), static_cast<size_t>(bytes));
    return tensor;
}

// The extents in order of place cover the data once.
Result<void> check_cover(std::span<const SafetensorsTensor> tensors,
                         std::span<const std::byte> data) {
    std::vector<const SafetensorsTensor*> in_order;
    for (const SafetensorsTensor& tensor : tensors) {
        in_order.push_back(&tensor);
    }
    std::ranges::sort(in_order, {}, [](const auto* tensor) { return tensor->bytes.data(); });
    const std::byte* expected = data.data();
    for (const SafetensorsTensor* tensor : in_order) {
        if (tensor->bytes.data() != expected) {
            return data_corrupt("tensor {}: its data does not begin where the one before it ends",
                                tensor->name);
        }
        expected += tensor->bytes.size();
    }
    if (expected != data.data() + data.size()) {
        return data_corrupt("the last {} bytes belong to no tensor",
                            data.data() + data.size() - expected);
    }
    return {};
}

// The JSON header, and where the data begins.
Result<std::string_view> read_header(ByteReader& in) {
    WEIR_TRY_ASSIGN(const auto length, in.read<uint64_t>());
    if (length > kSafetensorsHeaderBytesMax) {
        return fail(ErrorCode::TooLarge, "the header has {} bytes; up to {} are read", length,
                    kSafetensorsHeaderBytesMax);
    }
    WEIR_TRY_ASSIGN(const auto text, in.read_text(length));
    if (!text.starts_with('{')) {
        return data_corrupt("the header is no JSON object");
    }
    return text;
}

}  // namespace

std::optional<tensor::DType> SafetensorsTensor::kernel_dtype() const {
    const StoredType* type = find_type(dtype);
    return type == nullptr ? std::nullopt : type->dtype;
}

Result<SafetensorsFile> SafetensorsFile::parse(std::span<const std::byte> bytes) {
    ByteReader in(bytes);
    WEIR_TRY_ASSIGN(const auto header_text, read_header(in));
    WEIR_TRY_ASSIGN(const json::Value header,
                    as_file_error(json::parse(header_text, {.depth_max = 8}), "header"));
    const auto data = bytes.subspan(in.offset());

    SafetensorsFile file;
    for (const auto& [name, description] : *header.if_object()) {
        if (name == "__metadata__") {
            continue;  // free text about the file
        }
        if (name.empty() || name.size() > kNameBytesMax || name.contains('\0')) {
            return data_corrupt("a tensor's name must have 1 to {} bytes", kNameBytesMax);
        }
        WEIR_TRY_ASSIGN(
            file.tensors_.emplace_back(),
            as_file_error(read_tensor(name, description, data), fmt::format("tensor {}", name)));
    }
    WEIR_TRY(check_cover(file.tensors_, data));
    std::ranges::sort(file.tensors_, {}, &SafetensorsTensor::name);
    return file;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
    WEIR_TRY_ASSIGN(MappedFile mapping, MappedFile::open(path));
    WEIR_TRY_ASSIGN(SafetensorsFile file,
                    as_file_error(parse(mapping.bytes()), path.filename().string()));
    file.mapping_ = std::move(mapping);
    return file;
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
    const auto at = std::ranges::lower_bound(tensors_, name, {}, &SafetensorsTensor::name);
    return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

}  // namespace weir::model
