#include "model/testing/gguf_writer.h"

namespace weir::model::testing {

GgufWriter& GgufWriter::add_raw(std::string_view key, GgufValueType type,
                                const ByteBuilder& payload) {
    entries_.put_text(key).put(static_cast<uint32_t>(type)).put_bytes(payload.bytes());
    ++entry_count_;
    return *this;
}

GgufWriter& GgufWriter::add_u32(std::string_view key, uint32_t value) {
    return add_raw(key, GgufValueType::U32, ByteBuilder().put(value));
}

GgufWriter& GgufWriter::add_u64(std::string_view key, uint64_t value) {
    return add_raw(key, GgufValueType::U64, ByteBuilder().put(value));
}

GgufWriter& GgufWriter::add_f32(std::string_view key, float value) {
    return add_raw(key, GgufValueType::F32, ByteBuilder().put(value));
}

GgufWriter& GgufWriter::add_bool(std::string_view key, bool value) {
    return add_raw(key, GgufValueType::Bool, ByteBuilder().put(uint8_t{value}));
}

GgufWriter& GgufWriter::add_text(std::string_view key, std::string_view value) {
    return add_raw(key, GgufValueType::String, ByteBuilder().put_text(value));
}

namespace {

ByteBuilder array_head(GgufValueType element, uint64_t count) {
    ByteBuilder head;
    head.put(static_cast<uint32_t>(element)).put(count);
    return head;
}

}  // namespace

GgufWriter& GgufWriter::add_texts(std::string_view key, std::span<const std::string> values) {
    ByteBuilder payload = array_head(GgufValueType::String, values.size());
    for (const std::string& value : values) {
        payload.put_text(value);
    }
    return add_raw(key, GgufValueType::Array, payload);
}

GgufWriter& GgufWriter::add_floats(std::string_view key, std::span<const float> values) {
    ByteBuilder payload = array_head(GgufValueType::F32, values.size());
    payload.put_bytes(std::as_bytes(values));
    return add_raw(key, GgufValueType::Array, payload);
}

GgufWriter& GgufWriter::add_ints(std::string_view key, std::span<const int32_t> values) {
    ByteBuilder payload = array_head(GgufValueType::I32, values.size());
    payload.put_bytes(std::as_bytes(values));
    return add_raw(key, GgufValueType::Array, payload);
}

GgufWriter& GgufWriter::add_tensor(std::string_view name, std::span<const uint64_t> shape,
                                   uint32_t ggml_type, std::span<const std::byte> bytes) {
    data_.pad_to_multiple(kAlignment);
    infos_.put_text(name).put(static_cast<uint32_t>(shape.size()));
    for (size_t axis = shape.size(); axis > 0; --axis) {
        infos_.put(shape[axis - 1]);
    }
    infos_.put(ggml_type).put<uint64_t>(data_.size());
    data_.put_bytes(bytes);
    ++tensor_count_;
    return *this;
}

std::vector<std::byte> GgufWriter::finish() const {
    ByteBuilder out;
    out.put_raw("GGUF").put(kVersion).put(tensor_count_).put(entry_count_);
    out.put_bytes(entries_.bytes()).put_bytes(infos_.bytes());
    out.pad_to_multiple(kAlignment).put_bytes(data_.bytes()).pad_to_multiple(kAlignment);
    return out.bytes();
}

}  // namespace weir::model::testing
