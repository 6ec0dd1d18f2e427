// tokenizer.model from outside: loads or errs, and what loads encodes and decodes.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
    const std::span model(bytes, count);
    const auto tokenizer = weir::text::Tokenizer::from_sentencepiece(std::as_bytes(model));
    if (!tokenizer) {
        return 0;
    }
    const std::string_view own(reinterpret_cast<const char*>(bytes), count);
    for (const std::string_view text : {own.substr(0, 200), std::string_view("ab  a\n<s> 12'S")}) {
        const auto ids = tokenizer->encode(text, {.parse_special = true, .add_special = true});
        if (ids) {
            (void)tokenizer->decode(*ids);
        }
    }
    return 0;
}
