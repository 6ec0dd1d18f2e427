// A .safetensors file, or (the same bytes read so) a config.json.

#include <cstddef>
#include <cstdint>
#include <span>

#include "json/parse.h"
#include "model/config.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
    using namespace weir;
    const auto file = model::SafetensorsFile::parse(std::as_bytes(std::span(bytes, count)));
    if (file) {
        for (const model::SafetensorsTensor& tensor : file->tensors()) {
            (void)file->find(tensor.name);
            (void)tensor.kernel_dtype();
        }
    }
    const auto config = json::parse(std::string_view(reinterpret_cast<const char*>(bytes), count));
    if (config && config->if_object() != nullptr) {
        (void)model::config_from_json(*config->if_object());
    }
    return 0;
}
