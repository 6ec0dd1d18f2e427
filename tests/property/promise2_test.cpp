// Promise 2 with nothing faked but the size: the real forward pass over the real kernels, under the
// real scheduler and cache, for every weight type and every variant of the kernels that this CPU
// has; and for models that come as Hugging Face folders, with layers that see only a window, with
// experts and with latent keys. One request alone must give the same tokens and the same logits, to
// the bit, among others, with prefill chunks of 1, 7 and 512, with 1 and 2 threads, after a prefix
// hit, after preemptions, and where memory is too small for all.

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <tuple>
#include <vector>

#include "engine/testing/promise2.h"
#include "kernels/kernel_set.h"
#include "kernels/thread_pool.h"
#include "model/load.h"
#include "model/testing/temporary_folder.h"
#include "model/testing/tiny_hybrid.h"
#include "model/testing/tiny_mixture.h"
#include "model/testing/tiny_model.h"

namespace weir::engine::testing {
namespace {

using Variant = std::tuple<tensor::DType, const kernels::KernelSet*>;

class Promise2OverRealModels : public ::testing::TestWithParam<Variant> {};

// Runs the model on one thread and on two. Room for as many tokens a pass as the harness asks for.
void expect_promise(const model::ModelSource::Pointer& source, const kernels::KernelSet& set,
                    const Promise2Options& options, const model::LoadOptions& load = {}) {
    kernels::ThreadPool one(1);
    kernels::ThreadPool two(2);
    const auto alone = model::load_model(source, load, {set, one});
    const auto shared = model::load_model(source, load, {set, two});
    ASSERT_TRUE(alone) << alone.error().message;
    ASSERT_TRUE(shared) << shared.error().message;
    const auto difference = first_difference(**alone, options, shared->get());
    ASSERT_TRUE(difference) << difference.error().message;
    EXPECT_FALSE(difference->has_value()) << **difference;
}

// Sanitizers look for what a few others show as well as many.
#ifdef WEIR_SANITIZED
constexpr bool kIsSanitized = true;
#else
constexpr bool kIsSanitized = false;
#endif

// The reference takes a hundred times as long: shorter texts, but all the ways to be disturbed;
// more than a block of 16 tokens, so that there is something to be taken away.
Promise2Options options_for(const kernels::KernelSet& set) {
    if (&set != kernels::available_kernels().front()) {
        return {};
    }
    return {.prompt_tokens = 21,
            .answer_tokens = 3,
            .others = kIsSanitized ? 8u : 31u,
            .other_tokens_max = 18};
}

// One type of each way to multiply goes through everything on every variant; the others are
// unpacked into the same products (kernels/cpu/quant32.inc.h, quant256.inc.h), and kernels' own
// tests compare their variants: they run on the fastest alone, with fewer others.
bool is_thorough(tensor::DType dtype) {
    using enum tensor::DType;
    constexpr tensor::DType kThorough[] = {F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K};
    return std::ranges::find(kThorough, dtype) != std::end(kThorough);
}

constexpr Promise2Options kBrief = {
    .prompt_tokens = 21, .answer_tokens = 3, .others = 7, .other_tokens_max = 18};

// Blocks of 256 make every row wide, and the test slow: as little else as there can be.
model::testing::TinyModel shape_for(tensor::DType dtype) {
    auto shape = model::testing::TinyModel::for_dtype(dtype);
    if (tensor::info(dtype).block_elements == 256) {
        shape.layers = 1;
        shape.kv_heads = 1;
    }
    return shape;
}

TEST_P(Promise2OverRealModels, TheAnswerDoesNotDependOnAnythingElse) {
    const auto& [dtype, set] = GetParam();
    const auto bytes = model::testing::tiny_gguf(shape_for(dtype));
    const auto source = model::ModelSource::from_bytes(bytes);
    ASSERT_TRUE(source) << source.error().message;
    expect_promise(*source, *set, is_thorough(dtype) ? options_for(*set) : kBrief);
}

class Promise2OverFolders : public ::testing::TestWithParam<const kernels::KernelSet*> {};

// Blocks of 16 tokens and a window of 19: the window lies over up to three of them, and what it has
// passed is given back in the middle of the prompt.
TEST_P(Promise2OverFolders, AWindowedModelForgetsOnlyWhatItMust) {
    const model::testing::TemporaryFolder folder;
    model::testing::write_tiny_folder({.layers = 3, .window = 19}, folder.path());
    const auto source = model::ModelSource::open(folder.path());
    ASSERT_TRUE(source) << source.error().message;
    const bool is_slow = GetParam() == kernels::available_kernels().front();
    expect_promise(*source, *GetParam(),
                   is_slow ? Promise2Options{.prompt_tokens = 41,
                                             .answer_tokens = 5,
                                             .others = 6,
                                             .other_tokens_max = 20}
                           : Promise2Options{.prompt_tokens = 75, .other_tokens_max = 60});
}

// Its recurrent state is taken from checkpoints after a hit, a preemption and an eviction.
TEST_P(Promise2OverFolders, AHybridRemembersItsState) {
    const auto bytes = model::testing::hybrid_gguf({.layers = 2,
                                                    .hidden = 16,
                                                    .heads = 2,
                                                    .kv_heads = 1,
                                                    .feed_forward = 24,
                                                    .value_heads = 4});
    const auto source = model::ModelSource::from_bytes(bytes);
    ASSERT_TRUE(source) << source.error().message;
    expect_promise(*source, *GetParam(), options_for(*GetParam()));
}

TEST_P(Promise2OverFolders, AFolderInShardsAndItsCacheInEightBits) {
    const model::testing::TemporaryFolder folder;
    model::testing::write_tiny_folder({.family = "qwen3", .dtype = tensor::DType::BF16},
                                      folder.path(), 2);
    const auto source = model::ModelSource::open(folder.path());
    ASSERT_TRUE(source) << source.error().message;
    expect_promise(*source, *GetParam(), options_for(*GetParam()),
                   {.kv_dtype = tensor::DType::Q8_0});
}

// Every family, with every branch that it has: windows and chunks beside layers that see all, keys
// shared between layers, ropes chosen by length.
TEST(Promise2OverFamilies, TheAnswerDoesNotDependOnAnythingElse) {
    for (const model::testing::TinyModel& shape : model::testing::tiny_models()) {
        SCOPED_TRACE(shape.family);
        const model::testing::TemporaryFolder folder;
        model::testing::write_tiny_folder(shape, folder.path());
        const auto source = model::ModelSource::open(folder.path());
        ASSERT_TRUE(source) << source.error().message;
        expect_promise(
            *source, *kernels::available_kernels().back(),
            {.prompt_tokens = 41, .answer_tokens = 5, .others = 5, .other_tokens_max = 20});
    }
}

// Recurrences, with experts and without them, as both families write them.
TEST(Promise2OverFamilies, AHybridsExpertsDoNotDependOnTheirCompany) {
    using model::testing::HybridFamily;
    for (const HybridFamily family : {HybridFamily::Qwen3Next, HybridFamily::Qwen35}) {
        const auto bytes = model::testing::hybrid_gguf({.family = family,
                                                        .layers = 2,
                                                        .hidden = 16,
                                                        .heads = 2,
                                                        .kv_heads = 1,
                                                        .experts = 6,
                                                        .value_heads = 4});
        const auto source = model::ModelSource::from_bytes(bytes);
        ASSERT_TRUE(source) << source.error().message;
        expect_promise(*source, *kernels::available_kernels().back(),
                       {.prompt_tokens = 41,
                        .answer_tokens = 5,
                        .others = kIsSanitized ? 8u : 12u,
                        .other_tokens_max = 20});
    }
}

using model::testing::MixtureFamily;

class Promise2OverMixtures : public ::testing::TestWithParam<MixtureFamily> {};

// Experts, whose rows are gathered from the whole batch; windows, chunks and sinks; latent keys.
// One variant of the kernels: that all give the same bits, the model's own tests say.
TEST_P(Promise2OverMixtures, ARowsExpertsDoNotDependOnItsCompany) {
    model::testing::TinyMixture tiny(GetParam());
    tiny.window = 19;
    tiny.chunk = 19;
    const model::testing::TemporaryFolder folder;
    model::testing::write_mixture_folder(tiny, folder.path());
    const auto source = model::ModelSource::open(folder.path());
    ASSERT_TRUE(source) << source.error().message;
    expect_promise(*source, *kernels::available_kernels().back(),
                   {.prompt_tokens = 41,
                    .answer_tokens = 6,
                    .others = kIsSanitized ? 8u : 12u,
                    .other_tokens_max = 30});
}

// Under a sanitizer one of each kind of layer.
std::vector<MixtureFamily> mixtures() {
    if (kIsSanitized) {
        return {MixtureFamily::Qwen2Moe, MixtureFamily::GptOss, MixtureFamily::Llama4,
                MixtureFamily::DeepseekV3};
    }
    return {std::begin(model::testing::kMixtureFamilies),
            std::end(model::testing::kMixtureFamilies)};
}

INSTANTIATE_TEST_SUITE_P(Families, Promise2OverMixtures, ::testing::ValuesIn(mixtures()),
                         [](const auto& instance) { return model::testing::name(instance.param); });

INSTANTIATE_TEST_SUITE_P(Kernels, Promise2OverFolders,
                         ::testing::ValuesIn(kernels::available_kernels().begin(),
                                             kernels::available_kernels().end()),
                         [](const auto& instance) {
                             return std::string(kernels::name(*instance.param));
                         });

std::vector<tensor::DType> weight_types() {
    std::vector<tensor::DType> types;
    for (const tensor::DTypeInfo& entry : tensor::all_dtypes()) {
        if (entry.ggml_type) {
            types.push_back(entry.dtype);
        }
    }
    return types;
}

std::vector<Variant> variants() {
    std::vector<Variant> all;
    const auto sets = kernels::available_kernels();
    for (const tensor::DType dtype : weight_types()) {
        for (const kernels::KernelSet* set : is_thorough(dtype) ? sets : sets.last(1)) {
            all.emplace_back(dtype, set);
        }
    }
    return all;
}

INSTANTIATE_TEST_SUITE_P(Types, Promise2OverRealModels, ::testing::ValuesIn(variants()),
                         [](const auto& instance) {
                             return std::string(tensor::name(std::get<0>(instance.param))) + "_" +
                                    std::string(kernels::name(*std::get<1>(instance.param)));
                         });

}  // namespace
}  // namespace weir::engine::testing
