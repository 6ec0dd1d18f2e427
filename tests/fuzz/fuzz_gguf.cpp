// GGUF bytes: the container, the configuration, the tokenizer's metadata and the binding of
// tensors.

#include <cstddef>
#include <cstdint>

#include "model/gguf.h"
#include "model/load.h"
#include "model/tokenizer_metadata.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
    using namespace weir::model;
    const auto source = ModelSource::from_bytes(std::as_bytes(std::span(bytes, count)));
    if (!source) {
        return 0;
    }
    const GgufFile& file = *(*source)->gguf();
    for (const GgufEntry& entry : file.entries()) {
        (void)file.find_unsigned(entry.key);
        (void)file.find_number(entry.key);
        (void)file.find_bool(entry.key);
        (void)file.find_text(entry.key);
        (void)file.find_texts(entry.key);
        (void)file.find_floats(entry.key);
        (void)file.find_ints(entry.key);
        (void)file.find_unsigneds(entry.key);
        (void)file.find_bytes(entry.key);
    }
    (void)read_tokenizer_metadata(file);
    (void)plan_memory(**source, {});
    return 0;
}
