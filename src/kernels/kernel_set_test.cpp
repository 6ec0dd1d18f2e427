#include "kernels/kernel_set.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"

namespace weir::kernels {
namespace {

TEST(KernelSet, TheReferenceRunsEverywhere) {
    ASSERT_FALSE(available_kernels().empty());
    EXPECT_EQ(name(*available_kernels().front()), "reference");
}

TEST(KernelSet, EveryAvailableVariantCanBeForced) {
    for (const KernelSet* kernels : available_kernels()) {
        EXPECT_EQ(select_kernels(name(*kernels)).value(), kernels);
    }
}

TEST(KernelSet, TheFastestIsChosenUnlessForced) {
    EXPECT_EQ(select_kernels(std::nullopt).value(), available_kernels().back());
}

TEST(KernelSet, AnUnknownNameIsRefused) {
    const auto chosen = select_kernels("sse9");
    ASSERT_FALSE(chosen.has_value());
    EXPECT_EQ(chosen.error().code, ErrorCode::InvalidArgument);
    EXPECT_NE(chosen.error().message.find("reference"), std::string::npos);
}

TEST(KernelSet, TheEnvironmentForcesOne) {
    ASSERT_EQ(setenv("WEIR_CPU", "reference", 1), 0);
    EXPECT_EQ(name(*select_kernels_from_environment().value()), "reference");
    ASSERT_EQ(setenv("WEIR_CPU", "", 1), 0);
    EXPECT_FALSE(select_kernels_from_environment().has_value());
    ASSERT_EQ(unsetenv("WEIR_CPU"), 0);
    EXPECT_EQ(select_kernels_from_environment().value(), available_kernels().back());
}

}  // namespace
}  // namespace weir::kernels
