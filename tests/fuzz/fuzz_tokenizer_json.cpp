// tokenizer.json from outside: loads or errs, and what loads encodes and decodes.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
    const std::string_view json(reinterpret_cast<const char*>(bytes), count);
    const auto tokenizer = weir::text::Tokenizer::from_tokenizer_json(json);
    if (!tokenizer) {
        return 0;
    }
    for (const std::string_view text : {json.substr(0, 200), std::string_view("ab  a\n<s> 12'S")}) {
        for (const bool parse : {false, true}) {
            const auto ids =
                tokenizer->encode(text, {.parse_special = parse, .add_special = parse});
            if (ids) {
                (void)tokenizer->decode(*ids);
            }
        }
    }
    return 0;
}
