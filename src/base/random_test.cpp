#include "base/random.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

// The known-answer vectors published with Random123 (kat_vectors, philox4x32-10).
TEST(Philox, GivesThePublishedVectors) {
    EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
              (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
              (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(KeyedUniform, StaysBelowOneAndDependsOnEveryKey) {
    const double base = keyed_uniform(1, 0, 7);
    EXPECT_GE(base, 0.0);
    EXPECT_LT(base, 1.0);
    EXPECT_NE(base, keyed_uniform(2, 0, 7));
    EXPECT_NE(base, keyed_uniform(1, 1, 7));
    EXPECT_NE(base, keyed_uniform(1, 0, 8));
    EXPECT_EQ(base, keyed_uniform(1, 0, 7));
}

}  // namespace
}  // namespace weir
