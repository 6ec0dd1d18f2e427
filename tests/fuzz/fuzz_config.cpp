// The configuration: TOML from an operator, who may paste anything.

#include <cstdint>
#include <string_view>

#include "server/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
    const std::string_view text(reinterpret_cast<const char*>(bytes), count);
    const auto config = weir::server::parse_config(text);
    (void)config;
    return 0;
}
