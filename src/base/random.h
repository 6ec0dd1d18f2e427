#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace weir {

// Philox4x32-10: a counter-based generator. The same (key, counter) gives the same 128 bits on
// every machine, so a draw can be named by what it is for instead of by how many came before it.
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The uniform number in [0, 1) with 53 random bits that belongs to (seed, choice, position).
double keyed_uniform(uint64_t seed, uint32_t choice, uint64_t position);

// Bytes from the operating system, for seeds, ids and secrets.
void fill_from_system(std::span<uint8_t> bytes);
uint64_t random_u64();

}  // namespace weir
