#include "model/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "kernels/thread_pool.h"
#include "model/load.h"
#include "model/testing/kv_memory.h"
#include "model/testing/reference_decoder.h"
#include "model/testing/temporary_folder.h"
#include "model/testing/tiny_families.h"
#include "model/testing/tiny_model.h"

namespace weir::model {
namespace {

using testing::KvMemory;
using testing::TemporaryFolder;
using testing::TinyModel;
using testing::TinyRope;

constexpr uint32_t kBatchTokensMax = 512;

// A model, the threads it runs on, and its file.
class Runner {
  public:
    explicit Runner(ModelSource::Pointer source, const kernels::KernelSet& kernels, size_t threads)
        : pool_(threads) {
        auto model =
            load_model(std::move(source), {.batch_tokens_max = kBatchTokensMax}, {kernels, pool_});
        EXPECT_TRUE(model.has_value()) << model.error().message;
        model_ = *std::move(model);
    }

    Model& model() { return *model_; }

    // Logits of every position, computed in pieces of `chunk` tokens.
    std::vector<float> logits(const std::vector<TokenId>& tokens, size_t chunk) {
        const size_t vocabulary = model_->info().vocabulary;
        const KvMemory memory(model_->state_spec(), tokens.size());
        std::vector<float> out(tokens.size() * vocabulary);
        for (size_t at = 0; at < tokens.size(); at += chunk) {
            const size_t count = std::min(chunk, tokens.size() - at);
            const SequenceSlice slice{std::span(tokens).subspan(at, count),
                                      static_cast<uint32_t>(at), memory.view(), LogitsWanted::All,
                                      model_->info().rope_variant(tokens.size())};
            const auto done = model_->forward(
                std::span(&slice, 1), std::span(out).subspan(at * vocabulary, count * vocabulary));
            EXPECT_TRUE(done.has_value()) << done.error().message;
        }
        return out;
    }

  private:
    kernels::ThreadPool pool_;
    std::unique_ptr<Model> model_;
};

// A GGUF in memory and the source over it.
struct InMemory {
    explicit InMemory(const TinyModel& model)
        : bytes(testing::tiny_gguf(model)), source(*ModelSource::from_bytes(bytes)) {}

    std::vector<std::byte> bytes;
    ModelSource::Pointer source;
};

std::vector<TokenId> some_tokens(size_t count, uint32_t vocabulary, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<TokenId> token(0, vocabulary - 1);
    std::vector<TokenId> tokens(count);
    for (TokenId& id : tokens) {
        id = token(random);
    }
    return tokens;
}

const kernels::KernelSet& plain() {
    return *kernels::available_kernels().front();
}

std::string case_name(const TinyModel& model, std::string_view kernels = "") {
    return model.family + " " + std::string(tensor::name(model.dtype)) + " " + std::string(kernels);
}

// Same bits, NaN included.
bool same_bits(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Each of the 2 layers rounds in about 8 places one after the other (norm, projection, attention,
// projection; norm, gate and up, product, down), each time sums of at most 96 terms in 16 partial
// sums, 6 + 4 roundings deep, of terms that cancel to a tenth of their absolute sum: 2 * 8 * 10 *
// 10 * 2^-24 = 1e-4 of the logits' size. The error seen is 1e-6; a wrong formula shows as 1e-1.
constexpr double kReferenceBound = 1e-4;

TEST(Decoder, ComputesTheFormulas) {
    for (const TinyModel& model : testing::tiny_models()) {
        const TemporaryFolder folder;
        testing::write_tiny_folder(model, folder.path());
        Runner runner(*ModelSource::open(folder.path()), plain(), 1);
        const auto tokens = some_tokens(40, model.vocabulary, 5);
        const auto got = runner.logits(tokens, tokens.size());
        const auto expected = testing::reference_logits(model, tokens);
        double squares = 0;
        double worst = 0;
        for (size_t t = 0; t < tokens.size(); ++t) {
            for (size_t i = 0; i < model.vocabulary; ++i) {
                const double difference =
                    static_cast<double>(got[t * model.vocabulary + i]) - expected[t][i];
                worst = std::max(worst, std::abs(difference));
                squares += expected[t][i] * expected[t][i];
            }
        }
        const double unit = std::sqrt(squares / static_cast<double>(got.size()));
        EXPECT_LT(worst, kReferenceBound * unit) << case_name(model);
        EXPECT_GT(unit, 0.1) << case_name(model);  // the model says something
    }
}

TEST(Decoder, BothFileFormatsGiveTheSameBits) {
    for (const tensor::DType dtype :
         {tensor::DType::F32, tensor::DType::F16, tensor::DType::BF16}) {
        for (TinyModel model : testing::tiny_models()) {
            if (model.window && testing::tiny_traits(model.family).pattern == 0) {
                continue;  // GGUF has no key for it
            }
            model.dtype = dtype;
            const TemporaryFolder folder;
            testing::write_tiny_folder(model, folder.path(), 2);
            Runner from_folder(*ModelSource::open(folder.path()), plain(), 1);
            const InMemory gguf(model);
            Runner from_gguf(gguf.source, plain(), 1);
            const auto tokens = some_tokens(20, model.vocabulary, 6);
            EXPECT_TRUE(same_bits(from_folder.logits(tokens, 20), from_gguf.logits(tokens, 20)))
                << case_name(model);
        }
    }
}

// The promise that the same question has the same answer, to the bit: for one weight type and one
// kernel variant, a sequence alone and at once against everything else.
class SameBits
    : public ::testing::TestWithParam<std::tuple<tensor::DType, const kernels::KernelSet*>> {
  protected:
    SameBits()
        : shape_(TinyModel::for_dtype(std::get<0>(GetParam()))),
          file_(shape_),
          runner_(file_.source, *std::get<1>(GetParam()), 1),
          tokens_(some_tokens(18, shape_.vocabulary, 7)),
          alone_(runner_.logits(tokens_, tokens_.size())) {
        EXPECT_TRUE(std::ranges::all_of(alone_, [](float value) { return std::isfinite(value); }));
    }

    TinyModel shape_;
    InMemory file_;
    Runner runner_;
    std::vector<TokenId> tokens_;
    std::vector<float> alone_;
};

TEST_P(SameBits, InAnyChunks) {
    for (const size_t chunk : {1u, 7u}) {
        EXPECT_TRUE(same_bits(runner_.logits(tokens_, chunk), alone_)) << chunk;
    }
}

TEST_P(SameBits, OnTwoThreads) {
    Runner two(file_.source, *std::get<1>(GetParam()), 2);
    EXPECT_TRUE(same_bits(two.logits(tokens_, tokens_.size()), alone_));
}

TEST_P(SameBits, AmongThirtyOneOthers) {
    Model& model = runner_.model();
    const size_t vocabulary = model.info().vocabulary;
    std::vector<std::vector<TokenId>> sequences;
    std::vector<KvMemory> memory;
    memory.reserve(32);
    for (size_t s = 0; s < 32; ++s) {
        sequences.push_back(s == 19 ? tokens_ : some_tokens(1 + s % 5, shape_.vocabulary, 100 + s));
        memory.emplace_back(model.state_spec(), sequences[s].size());
    }
    std::vector<SequenceSlice> batch;
    for (size_t s = 0; s < 32; ++s) {
        const LogitsWanted wanted = s == 19      ? LogitsWanted::All
                                    : s % 3 == 0 ? LogitsWanted::None
                                                 : LogitsWanted::Last;
        batch.push_back({sequences[s], 0, memory[s].view(), wanted});
    }
    std::vector<float> logits(logit_rows(batch) * vocabulary);
    ASSERT_TRUE(model.forward(batch, logits).has_value());

    size_t row = 0;
    for (size_t s = 0; s < 32; ++s) {
        const size_t rows = logit_rows(std::span(batch).subspan(s, 1));
        const auto got = std::span(logits).subspan(row * vocabulary, rows * vocabulary);
        row += rows;
        if (s == 19) {
            EXPECT_TRUE(same_bits(got, alone_));
        } else if (s % 10 == 1) {  // a few of the others too
            const auto all = runner_.logits(sequences[s], sequences[s].size());
            EXPECT_TRUE(same_bits(got, std::span(all).last(rows * vocabulary))) << s;
        }
    }
}

TEST_P(SameBits, AsTheReferenceKernels) {
    Runner reference(file_.source, plain(), 1);
    EXPECT_TRUE(same_bits(reference.logits(tokens_, tokens_.size()), alone_));
}

// A sequence whose numbers are no longer finite shows it in its own rows and nowhere else.
TEST_P(SameBits, BesideASequenceOfNaN) {
    const uint64_t row_bytes = *tensor::row_bytes(shape_.dtype, shape_.hidden);
    const auto& table = *file_.source->gguf()->find_tensor("token_embd.weight");
    const TokenId poisoned = shape_.vocabulary - 1;
    auto* row = const_cast<std::byte*>(table.bytes.data()) + poisoned * row_bytes;
    std::memset(row, 0xff, row_bytes);  // NaN in every type: scales are float16

    Model& model = runner_.model();
    std::vector<TokenId> clean = tokens_;
    std::ranges::replace(clean, poisoned, TokenId{0});
    const auto expected = runner_.logits(clean, clean.size());
    const std::vector<TokenId> bad = {1, poisoned, 2};
    const KvMemory clean_memory(model.state_spec(), clean.size());
    const KvMemory bad_memory(model.state_spec(), bad.size());
    const std::vector<SequenceSlice> batch = {
        {bad, 0, bad_memory.view(), LogitsWanted::All},
        {clean, 0, clean_memory.view(), LogitsWanted::All},
    };
    const size_t vocabulary = shape_.vocabulary;
    std::vector<float> logits(logit_rows(batch) * vocabulary);
    ASSERT_TRUE(model.forward(batch, logits).has_value());
    const std::span all(logits);
    EXPECT_TRUE(std::isfinite(all[0]));  // before the poisoned token
    for (const size_t bad_row : {1u, 2u}) {
        EXPECT_TRUE(std::ranges::all_of(all.subspan(bad_row * vocabulary, vocabulary),
                                        [](float value) { return std::isnan(value); }));
    }
    EXPECT_TRUE(same_bits(all.subspan(3 * vocabulary), expected));
}

// One type of each form of activations and way to multiply; that the other types' products are the
// reference's is for the kernels' own tests.
std::vector<tensor::DType> weight_types() {
    using enum tensor::DType;
    return {F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K, Q5_1, Q2_K, IQ4_XS};
}

INSTANTIATE_TEST_SUITE_P(
    Decoder, SameBits,
    ::testing::Combine(::testing::ValuesIn(weight_types()),
                       ::testing::ValuesIn(kernels::available_kernels().begin(),
                                           kernels::available_kernels().end())),
    [](const auto& instance) {
        return std::string(tensor::name(std::get<0>(instance.param))) + "_" +
               std::string(kernels::name(*std::get<1>(instance.param)));
    });

TEST(Decoder, EveryFamilyHasOneResult) {
    for (const TinyModel& model : testing::tiny_models()) {
        const TemporaryFolder folder;
        testing::write_tiny_folder(model, folder.path());
        Runner runner(*ModelSource::open(folder.path()), plain(), 1);
        const auto tokens = some_tokens(40, model.vocabulary, 8);
        const auto at_once = runner.logits(tokens, tokens.size());
        EXPECT_TRUE(same_bits(runner.logits(tokens, 1), at_once)) << case_name(model);
        EXPECT_TRUE(same_bits(runner.logits(tokens, 9), at_once)) << case_name(model);
        for (const kernels::KernelSet* kernels : kernels::available_kernels()) {
            Runner other(*ModelSource::open(folder.path()), *kernels, 2);
            EXPECT_TRUE(same_bits(other.logits(tokens, 17), at_once))
                << case_name(model, kernels::name(*kernels));
        }
    }
}

// What a window layer can no longer see may be dropped from memory.
TEST(Decoder, BlocksBehindTheWindowMayBeGone) {
    const TinyModel model{.layers = 1, .window = 7};
    const TemporaryFolder folder;
    testing::write_tiny_folder(model, folder.path());
    Runner runner(*ModelSource::open(folder.path()), plain(), 1);
    const auto tokens = some_tokens(40, model.vocabulary, 9);
    const auto expected = runner.logits(tokens, tokens.size());

    const KvMemory memory(runner.model().state_spec(), tokens.size());
    std::vector<float> logits(model.vocabulary);
    const SequenceSlice first{std::span(tokens).first(39), 0, memory.view()};
    ASSERT_TRUE(runner.model().forward(std::span(&first, 1), logits).has_value());
    const auto whole = memory.view().blocks[0];
    const std::vector<std::byte*> kept = {nullptr, nullptr, whole[2]};  // 39 sees from 33 on
    const std::vector<std::span<std::byte* const>> tables = {kept};
    const SequenceSlice last{std::span(tokens).last(1), 39, {.blocks = tables}};
    ASSERT_TRUE(runner.model().forward(std::span(&last, 1), logits).has_value());
    EXPECT_TRUE(same_bits(logits, std::span(expected).last(model.vocabulary)));
}

}  // namespace
}  // namespace weir::model
