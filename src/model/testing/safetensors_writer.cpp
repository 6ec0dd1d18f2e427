#include "model/testing/safetensors_writer.h"

#include "json/write.h"
#include "model/testing/byte_builder.h"

namespace weir::model::testing {

std::vector<std::byte> safetensors_file(std::span<const SafetensorsItem> items) {
    std::string header;
    json::Writer out(header);
    out.begin_object();
    uint64_t at = 0;
    for (const SafetensorsItem& item : items) {
        out.key(item.name).begin_object();
        out.key("dtype").value(std::string_view(item.dtype)).key("shape").begin_array();
        for (const uint64_t extent : item.shape) {
            out.value(extent);
        }
        out.end_array().key("data_offsets").begin_array();
        out.value(at).value(at + item.bytes.size()).end_array().end_object();
        at += item.bytes.size();
    }
    out.end_object();
    header.resize((header.size() + 7) / 8 * 8, ' ');

    ByteBuilder file;
    file.put_text(header);
    for (const SafetensorsItem& item : items) {
        file.put_bytes(item.bytes);
    }
    return file.bytes();
}

std::vector<std::byte> safetensors_file(std::string_view header, size_t data_bytes) {
    return ByteBuilder().put_text(header).put_bytes(std::vector<std::byte>(data_bytes)).bytes();
}

}  // namespace weir::model::testing
