// A pattern from outside, and a text for it, one line each: compiles or errs, and what compiles
// ends.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/pattern.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
    const std::string_view whole(reinterpret_cast<const char*>(bytes), count);
    const size_t line = whole.find('\n');
    const auto pattern = weir::text::Pattern::create(whole.substr(0, line));
    if (!pattern || line == std::string_view::npos) {
        return 0;
    }
    const std::string_view text = whole.substr(line + 1);
    uint64_t steps = 0;
    for (size_t at = 0; at < text.size();) {
        const auto end = pattern->match_at(text, at, steps);
        at = end && *end > at ? *end : at + 1;
    }
    return 0;
}
