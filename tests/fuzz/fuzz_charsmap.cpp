// A precompiled character map from outside, and a text for it: the first byte says how many of the
// last bytes are the text.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "text/charsmap.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
    if (count == 0 || size_t{bytes[0]} + 1 > count) {
        return 0;
    }
    const std::span<const uint8_t> map(bytes + 1, count - 1 - bytes[0]);
    const auto charsmap = weir::text::Charsmap::create(std::as_bytes(map));
    if (!charsmap) {
        return 0;
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes + count - bytes[0]), bytes[0]);
    (void)charsmap->apply_longest(text);
    (void)charsmap->apply_to_graphemes(text);
    return 0;
}
