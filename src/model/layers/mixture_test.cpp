#include "model/layers/mixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

#include "kernels/thread_pool.h"
#include "model/layers/state_plan.h"
#include "model/load.h"
#include "model/testing/kv_memory.h"
#include "model/testing/temporary_folder.h"
#include "model/testing/tiny_mixture.h"

// Mixtures of experts and latent attention, in whole models of their families.
namespace weir::model {
namespace {

using testing::ExpertsForm;
using testing::kMixtureFamilies;
using testing::KvMemory;
using testing::LatentForm;
using testing::MixtureFamily;
using testing::TemporaryFolder;
using testing::TinyMixture;

using Logits = std::vector<float>;

const kernels::KernelSet& plain() {
    return *kernels::available_kernels().front();
}
const kernels::KernelSet& fast() {
    return *kernels::available_kernels().back();
}

std::vector<TokenId> some_tokens(size_t count, uint32_t vocabulary, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<TokenId> token(0, vocabulary - 1);
    std::vector<TokenId> tokens(count);
    std::ranges::generate(tokens, [&] { return token(random); });
    return tokens;
}

class Runner {
  public:
    explicit Runner(ModelSource::Pointer source, const kernels::KernelSet& kernels = fast(),
                    size_t threads = 1)
        : pool_(threads) {
        auto model = load_model(std::move(source), {.batch_tokens_max = 128}, {kernels, pool_});
        EXPECT_TRUE(model.has_value()) << model.error().message;
        model_ = *std::move(model);
    }

    Model& model() { return *model_; }

    // Logits of every position, in pieces of `chunk` tokens, each beside a piece of another
    // sequence of its own, if there are `mates`.
    Logits logits(const std::vector<TokenId>& tokens, size_t chunk,
                  const std::vector<TokenId>& mates = {}) {
        const size_t vocabulary = model_->info().vocabulary;
        const KvMemory memory(model_->state_spec(), tokens.size());
        Logits out(tokens.size() * vocabulary);
        for (size_t at = 0; at < tokens.size(); at += chunk) {
            const size_t count = std::min(chunk, tokens.size() - at);
            const KvMemory other(model_->state_spec(), mates.size() + 1);
            std::vector<SequenceSlice> batch;
            if (!mates.empty()) {
                batch.push_back({mates, 0, other.view(), LogitsWanted::None});
            }
            batch.push_back({std::span(tokens).subspan(at, count), static_cast<uint32_t>(at),
                             memory.view(), LogitsWanted::All});
            const auto done =
                model_->forward(batch, std::span(out).subspan(at * vocabulary, count * vocabulary));
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
    explicit InMemory(std::vector<std::byte> file) : bytes(std::move(file)) {
        auto opened = ModelSource::from_bytes(bytes);
        EXPECT_TRUE(opened.has_value()) << opened.error().message;
        source = *opened;
    }

    std::vector<std::byte> bytes;
    ModelSource::Pointer source;
};

bool same_bits(const Logits& a, const Logits& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The largest difference, in units of the expected logits' size.
double distance(const Logits& got, const std::vector<std::vector<double>>& expected) {
    double squares = 0;
    double worst = 0;
    const size_t vocabulary = expected.front().size();
    for (size_t i = 0; i < got.size(); ++i) {
        const double value = expected[i / vocabulary][i % vocabulary];
        worst = std::max(worst, std::abs(static_cast<double>(got[i]) - value));
        squares += value * value;
    }
    const double unit = std::sqrt(squares / static_cast<double>(got.size()));
    EXPECT_GT(unit, 0.1);  // the model says something
    return worst / unit;
}

// As in decoder_test.cpp, with twice the layers and about a third more roundings one after the
// other in each: 3e-4. The error seen is below 1e-5; a wrong formula shows as 1e-1.
constexpr double kReferenceBound = 3e-4;

class MixtureOf : public ::testing::TestWithParam<MixtureFamily> {};
INSTANTIATE_TEST_SUITE_P(EveryFamily, MixtureOf, ::testing::ValuesIn(kMixtureFamilies),
                         [](const auto& each) { return testing::name(each.param); });

TEST_P(MixtureOf, ComputesTheFormulas) {
    const TinyMixture model(GetParam());
    const TemporaryFolder folder;
    testing::write_mixture_folder(model, folder.path());
    Runner runner(*ModelSource::open(folder.path()), plain());
    const auto tokens = some_tokens(40, model.vocabulary, 5);
    const auto expected = testing::mixture_logits(model, testing::mixture_tensors(model), tokens);
    EXPECT_LT(distance(runner.logits(tokens, tokens.size()), expected), kReferenceBound);
}

TEST_P(MixtureOf, EveryFormOfItsFileGivesTheSameBits) {
    const TinyMixture model = TinyMixture(GetParam()).as_gguf_says();
    const auto tokens = some_tokens(30, model.vocabulary, 6);
    const TemporaryFolder one_by_one;
    const TemporaryFolder stacked;
    testing::write_mixture_folder(model, one_by_one.path(), ExpertsForm::OneByOne);
    testing::write_mixture_folder(model, stacked.path(), ExpertsForm::Stacked);
    const Logits expected = Runner(*ModelSource::open(one_by_one.path())).logits(tokens, 30);
    EXPECT_TRUE(same_bits(Runner(*ModelSource::open(stacked.path())).logits(tokens, 30), expected));
    for (const LatentForm latent : {LatentForm::Split, LatentForm::Whole}) {
        const InMemory gguf(testing::mixture_gguf(model, ExpertsForm::Stacked, latent));
        EXPECT_TRUE(same_bits(Runner(gguf.source).logits(tokens, 30), expected));
    }
    if (GetParam() != MixtureFamily::GptOss) {  // no file has its biases one by one
        const InMemory old(testing::mixture_gguf(model, ExpertsForm::OneByOne));
        EXPECT_TRUE(same_bits(Runner(old.source).logits(tokens, 30), expected));
    }
}

TEST_P(MixtureOf, ChunksBatchMatesThreadsAndVariantsChangeNothing) {
    const TinyMixture model(GetParam());
    const TemporaryFolder folder;
    testing::write_mixture_folder(model, folder.path());
    const auto source = *ModelSource::open(folder.path());
    const auto tokens = some_tokens(40, model.vocabulary, 7);
    const auto mates = some_tokens(75, model.vocabulary, 8);
    const Logits expected = Runner(source).logits(tokens, 40);
    Runner threads(source, fast(), 3);
    for (const size_t chunk : {1u, 7u, 40u}) {
        EXPECT_TRUE(same_bits(Runner(source).logits(tokens, chunk), expected)) << chunk;
        EXPECT_TRUE(same_bits(threads.logits(tokens, chunk, mates), expected)) << chunk;
    }
    EXPECT_TRUE(same_bits(Runner(source, plain()).logits(tokens, 40), expected));
}

TEST_P(MixtureOf, ThePlanCountsWhatLoadingTakes) {
    const TinyMixture model(GetParam());
    const TemporaryFolder folder;
    testing::write_mixture_folder(model, folder.path());
    const auto source = *ModelSource::open(folder.path());
    const auto plan = plan_memory(*source, {.batch_tokens_max = 128});
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    uint64_t numbers = 0;
    for (const auto& [name, tensor] : testing::mixture_tensors(model)) {
        numbers += tensor.values.size();
    }
    EXPECT_EQ(plan->info.parameters, numbers);
    EXPECT_GE(plan->weights_mapped_bytes + plan->weights_copied_bytes, numbers * sizeof(float));
    Runner runner(source);
    EXPECT_EQ(runner.model().info().weight_bytes, plan->info.weight_bytes);
}

// Values of weights that 4 bits can say, through blocks and through float32. Products with MXFP4
// round activations to 8 bits, 1/254 of the largest of a block: with 4 layers of 3 products, and
// the largest three times the usual, a few percent; nibbles or rows in a wrong order show as 1.
TEST(Mixture, ReadsPublishedBlocksOfMxfp4) {
    const TinyMixture model(MixtureFamily::GptOss);
    const TemporaryFolder folder;
    testing::write_mxfp4_folder(model, folder.path());
    const auto tokens = some_tokens(20, model.vocabulary, 5);
    const auto expected = testing::mixture_logits(model, testing::mxfp4_tensors(model), tokens);
    Runner runner(*ModelSource::open(folder.path()), plain());
    EXPECT_LT(distance(runner.logits(tokens, tokens.size()), expected), 0.06);
}

// In half precision: the latent and the rotated part of a token, whatever the heads.
TEST(LatentAttention, KeepsTheLatentAndTheRotatedPartOnly) {
    for (const MixtureFamily family : {MixtureFamily::DeepseekV2, MixtureFamily::DeepseekV3}) {
        const TinyMixture model(family);
        const TemporaryFolder folder;
        testing::write_mixture_folder(model, folder.path());
        const auto plan = plan_memory(*ModelSource::open(folder.path()).value(),
                                      {.kv_dtype = tensor::DType::F16});
        ASSERT_TRUE(plan.has_value()) << plan.error().message;
        EXPECT_EQ(plan->kv_bytes_per_token, model.layers * (model.kv_rank + model.rope_dim) * 2);
    }
}

// With the published numbers of layers, 512 and 64: 68.6, 67.5 and 30.4 KiB a token.
TEST(LatentAttention, KeepsOfPublishedModelsWhatTheirPapersSay) {
    const StateNeed need{.kv = KvNeed{.kv_heads = 1, .key_dim = 512 + 64, .value_dim = 0}};
    for (const auto& [layers, bytes] :
         {std::pair<size_t, uint64_t>{61, 70272}, {60, 69120}, {27, 31104}}) {
        const StatePlan plan =
            plan_state(std::vector<StateNeed>(layers, need), tensor::DType::F16, 16);
        ASSERT_EQ(plan.spec.groups.size(), 1u);
        EXPECT_EQ(kv::block_bytes(plan.spec, plan.spec.groups[0]) / 16, bytes);
    }
}

TEST(Llama4, KeepsOfRotatedLayersOnlyTheirChunk) {
    const TinyMixture model(MixtureFamily::Llama4);
    const TemporaryFolder folder;
    testing::write_mixture_folder(model, folder.path());
    const auto plan = plan_memory(*ModelSource::open(folder.path()).value(), {});
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    size_t chunked = 0;
    size_t whole = 0;
    for (const kv::AttentionGroup& group : plan->state.groups) {
        if (group.window_tokens) {
            EXPECT_TRUE(group.window_stands);
            EXPECT_EQ(group.window_tokens, model.chunk);
            chunked += group.layers.size();
        } else {
            whole += group.layers.size();
        }
    }
    EXPECT_EQ(chunked, 3u);
    EXPECT_EQ(whole, 1u);
}

// What a folder's loading says after `from` in its config.json has become `to`.
std::string refusal(const TinyMixture& model, std::string_view from, std::string_view to) {
    const TemporaryFolder folder;
    testing::write_mixture_folder(model, folder.path());
    const auto path = folder.path() / "config.json";
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    std::string config = text.str();
    const size_t at = config.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    config.replace(at, from.size(), to);
    std::ofstream(path) << config;
    const auto source = ModelSource::open(folder.path());
    if (!source) {
        return source.error().message;
    }
    const auto plan = plan_memory(**source, {});
    return plan ? std::string() : plan.error().message;
}

TEST(Mixture, RefusesByNameWhatItsFileCannotMean) {
    using ::testing::HasSubstr;
    const TinyMixture mixtral(MixtureFamily::Mixtral);
    EXPECT_THAT(refusal(mixtral, R"("num_experts_per_tok": 2)", R"("num_experts_per_tok": 9)"),
                HasSubstr("9 of 8 experts"));
    EXPECT_THAT(refusal(mixtral, R"("num_local_experts": 8)", R"("num_local_experts": 9)"),
                HasSubstr("block_sparse_moe.gate.weight"));
    EXPECT_THAT(refusal(mixtral, R"("intermediate_size": 48)", R"("intermediate_size": 50)"),
                HasSubstr("experts.0.w1.weight"));
    const TinyMixture v3(MixtureFamily::DeepseekV3);
    EXPECT_THAT(refusal(v3, R"("n_group": 4)", R"("n_group": 3)"), HasSubstr("3 groups"));
    EXPECT_THAT(refusal(v3, R"("scoring_func": "sigmoid")", R"("scoring_func": "softmax")"),
                HasSubstr("scoring_func"));
    EXPECT_THAT(refusal(v3, R"("kv_lora_rank": 40)", R"("kv_lora_rank": 0)"), HasSubstr("latent"));
    EXPECT_THAT(refusal(v3, R"("kv_lora_rank": 40)", R"("kv_lora_rank": 2000)"),
                HasSubstr("latent"));
    const TinyMixture llama4(MixtureFamily::Llama4);
    EXPECT_THAT(refusal(llama4, "[1, 1, 1, 0]", "[1, 1, 1]"), HasSubstr("no_rope_layers"));
    EXPECT_THAT(
        refusal(llama4, R"("interleave_moe_layer_step": 2)", R"("interleave_moe_layer_step": 0)"),
        HasSubstr("interleave_moe_layer_step"));
}

}  // namespace
}  // namespace weir::model
