#include "base/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"

namespace weir {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
    constexpr int kRounds = 10;
    for (int round = 0; round < kRounds; ++round) {
        const uint64_t a = uint64_t{0xD2511F53} * counter[0];
        const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
        counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
                   static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
        key[0] += 0x9E3779B9;  // the golden ratio and sqrt(3) - 1, as the paper has them
        key[1] += 0xBB67AE85;
    }
    return counter;
}

double keyed_uniform(uint64_t seed, uint32_t choice, uint64_t position) {
    const auto bits =
        philox({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), choice, 0},
               {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    const uint64_t joined = (uint64_t{bits[0]} << 32) | bits[1];
    return static_cast<double>(joined >> 11) * 0x1.0p-53;
}

void fill_from_system(std::span<uint8_t> bytes) {
    size_t filled = 0;
    while (filled < bytes.size()) {
        const ssize_t count = ::getrandom(bytes.data() + filled, bytes.size() - filled, 0);
        if (count > 0) {
            filled += static_cast<size_t>(count);
            continue;
        }
        WEIR_ASSERT(errno == EINTR);  // getrandom without flags has no other failure
    }
}

uint64_t random_u64() {
    std::array<uint8_t, 8> bytes{};
    fill_from_system(bytes);
    uint64_t value = 0;
    for (const uint8_t byte : bytes) {
        value = (value << 8) | byte;
    }
    return value;
}

}  // namespace weir
