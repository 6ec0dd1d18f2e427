// Promise 2 with nothing faked but the size: the real forward pass over the real kernels, under the
// real scheduler and cache, for every weight type and every variant of the kernels that this CPU
// has. One request alone must give the same tokens and the same logits, to the bit, among 31
// others, with prefill chunks of 1, 7 and 512, with 1 and 2 threads, after a prefix hit, and after
// a preemption.

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "engine/testing/promise2.h"
#include "kernels/kernel_set.h"
#include "kernels/thread_pool.h"
#include "model/load.h"
#include "model/testing/tiny_model.h"

namespace weir::engine::testing {
namespace {

using Variant = std::tuple<tensor::DType, const kernels::KernelSet*>;

class Promise2OverRealModels : public ::testing::TestWithParam<Variant> {};

Result<std::unique_ptr<model::Model>> load(const std::vector<std::byte>& bytes,
                                           const kernels::KernelSet& set,
                                           kernels::ThreadPool& pool) {
    WEIR_TRY_ASSIGN(auto source, model::ModelSource::from_bytes(bytes));
    return model::load_model(std::move(source), {}, {set, pool});
}

// The reference takes a hundred times as long: shorter texts, and all the ways to be disturbed.
Promise2Options options_for(const kernels::KernelSet& set) {
    if (&set != kernels::available_kernels().front()) {
        return {};
    }
    return {.prompt_tokens = 21, .answer_tokens = 4, .other_tokens_max = 4};
}

TEST_P(Promise2OverRealModels, TheAnswerDoesNotDependOnAnythingElse) {
    const auto& [dtype, set] = GetParam();
    const auto bytes = model::testing::tiny_gguf(model::testing::TinyModel::for_dtype(dtype));
    kernels::ThreadPool one(1);
    kernels::ThreadPool two(2);
    const auto alone = load(bytes, *set, one);
    const auto shared = load(bytes, *set, two);
    ASSERT_TRUE(alone) << alone.error().message;
    ASSERT_TRUE(shared) << shared.error().message;
    const auto difference = first_difference(**alone, options_for(*set), shared->get());
    ASSERT_TRUE(difference) << difference.error().message;
    EXPECT_FALSE(difference->has_value()) << **difference;
}

std::vector<tensor::DType> weight_types() {
    std::vector<tensor::DType> types;
    for (const tensor::DTypeInfo& entry : tensor::all_dtypes()) {
        types.push_back(entry.dtype);
    }
    return types;
}

INSTANTIATE_TEST_SUITE_P(
    Types, Promise2OverRealModels,
    ::testing::Combine(::testing::ValuesIn(weight_types()),
                       ::testing::ValuesIn(kernels::available_kernels().begin(),
                                           kernels::available_kernels().end())),
    [](const auto& instance) {
        return std::string(tensor::name(std::get<0>(instance.param))) + "_" +
               std::string(kernels::name(*std::get<1>(instance.param)));
    });

}  // namespace
}  // namespace weir::engine::testing
